"""Rows of consents."""

import pytest
from pydantic import ValidationError

from byline.api.consents import ConsentRow, ConsentsBody

ROW = {
    "owner": "ash",
    "index": "digits",
    "status": "expired",
    "since": "2026-03-01T00:00:00Z",
    "source": "web",
}


def test_a_time_has_a_zone():
    assert ConsentRow.model_validate(ROW).since.isoformat() == "2026-03-01T00:00:00+00:00"
    with pytest.raises(ValidationError):
        ConsentRow.model_validate(ROW | {"since": "2026-03-01T00:00:00"})


def test_there_is_at_least_one():
    with pytest.raises(ValidationError):
        ConsentsBody.model_validate({"consents": []})
