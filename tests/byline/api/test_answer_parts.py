"""Parts of answers keep their values through JSON, and hold finite numbers and counted ranks alone."""

import pytest
from pydantic import ValidationError

from byline.api.answer_parts import Attribution, OwnerShare
from tests.byline.api.answers import answer


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_are_finite(value: float) -> None:
    found = answer()
    assert found.proponents
    assert found.shares
    for part in (found.proponents[0], found.shares.owners[0]):
        fields = part.model_dump()
        assert type(part).model_validate(fields) == part
        with pytest.raises(ValidationError, match="score"):
            type(part).model_validate(fields | {"score": value})


def test_ranks_begin_at_one() -> None:
    fields = (answer().proponents or ())[0].model_dump()
    with pytest.raises(ValidationError, match="rank"):
        Attribution.model_validate(fields | {"rank": 0})


def test_parts_are_the_same_after_json() -> None:
    found = answer()
    assert type(found).model_validate_json(found.model_dump_json()) == found
    shares = found.shares
    assert shares
    assert OwnerShare.model_validate_json(shares.owners[0].model_dump_json()) == shares.owners[0]
