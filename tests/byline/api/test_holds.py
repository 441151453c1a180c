"""Subjects of holds."""

import pytest
from pydantic import ValidationError

from byline.api.holds import HoldBody, Subject


def test_a_work_is_of_an_index():
    with pytest.raises(ValidationError, match="expected the index of the work"):
        Subject(owner="ash", work="17")
    assert Subject(owner="ash", index="digits", work="17").work == "17"


@pytest.mark.parametrize("change", [{"nature": "other"}, {"reason": ""}, {"until": "never"}, {"subject": {}}])
def test_other_bodies_are_refused(change):
    body = {"subject": {"owner": "ash"}, "nature": "dispute", "reason": "why"}
    HoldBody.model_validate(body)
    with pytest.raises(ValidationError):
        HoldBody.model_validate(body | change)
