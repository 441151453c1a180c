"""An index is opened with its own Task alone."""

import pytest
import torch

from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline.errors import InvalidQuery, StaleIndex
from byline.loading.task_file import load_task
from tests.byline.attribution.test_attributor import ITEM, QUERY, feature_of


def wrong_gradients(attributor):
    """Gradients that are refused before anything is computed."""
    right = {name: torch.ones(shape) for name, shape in attributor.expected_gradients().items()}
    name = next(iter(right))
    return {
        "names": {f"x{each}": tensor for each, tensor in right.items()},
        "missing": dict(list(right.items())[1:]),
        "unknown": right | {"more": torch.ones(1)},
        "shape": right | {name: torch.ones(1)},
        "integers": right | {name: right[name].long()},
        "complex": right | {name: right[name].to(torch.complex64)},
        "float8": right | {name: right[name].to(torch.float8_e4m3fn)},
        "NaN": right | {name: right[name] * float("nan")},
    }


class TestOpening:
    def test_another_source_is_stale(self, built):
        source = built / "tiny_task.py"
        kept = source.read_text()
        try:
            source.write_text(kept + "\n# changed\n")
            with pytest.raises(StaleIndex, match="changed"):
                Attributor.open(built / "index")
        finally:
            source.write_text(kept)
        Attributor.open(built / "index")

    def test_other_weights_are_stale(self, built):
        task = load_task("tiny_task.py:task", built).task
        shifted = load_task("tiny_task.py:task", built).task
        shifted.checkpoints[0].weights["0.bias"][0] += 1
        Attributor.open(built / "index", task=task)
        with pytest.raises(StaleIndex, match="weights"):
            Attributor.open(built / "index", task=shifted)

    def test_without_its_task_an_index_answers_gradients_and_features(self, built, attributor):
        bare = Attributor.open_without_task(built / "index")
        feature_K = feature_of(attributor, ITEM)
        request = AttributionRequest(feature=feature_K, shares=True)
        mine, full = bare.attribute(request), attributor.attribute(request)
        assert mine.proponents == full.proponents
        assert mine.shares == full.shares
        bare.warm()
        for wrong in (wrong_gradients(bare)).values():
            with pytest.raises(InvalidQuery):
                bare.check(AttributionRequest(gradient=wrong))
        for refused in ({"query": QUERY}, {"gradient": {}}):
            with pytest.raises(InvalidQuery):
                bare.attribute(AttributionRequest(**refused))
        random = torch.Generator().manual_seed(0)
        gradients = {n: torch.randn(s, generator=random) for n, s in bare.expected_gradients().items()}
        by_gradient = AttributionRequest(gradient=gradients)
        assert bare.attribute(by_gradient).proponents == attributor.attribute(by_gradient).proponents
