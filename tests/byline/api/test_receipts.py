"""A receipt keeps figures as integers, rounded down: never better than measured."""

import pytest
from pydantic import ValidationError

from byline.api.receipts import QualityFigure, Signature


class TestQualityFigure:
    def test_figures_are_rounded_down(self):
        figure = QualityFigure.of("lds", "loss", 0.38000049, -0.0000001)
        assert (figure.value, figure.low) == (380_000, -1)
        assert QualityFigure.of("lds", None, 0.5, None).low is None


class TestSignature:
    @pytest.mark.parametrize(
        "wrong",
        [{"key": "A" * 32}, {"key": "a" * 31}, {"algorithm": "none"}, {"value": "x" * 101}, {"more": 1}],
    )
    def test_another_form_is_refused(self, wrong):
        right = {"algorithm": "ed25519", "key": "a" * 32, "value": "x"}
        assert Signature.model_validate(right).key == "a" * 32
        with pytest.raises(ValidationError):
            Signature.model_validate(right | wrong)
