"""Tables of an answer: every number and every word, one row a point and one row an owner."""

import builtins
from typing import Any

import pytest

from byline.api.answer_tables import OWNER_COLUMNS, POINT_COLUMNS
from byline.errors import InvalidInput
from tests.byline.api.answers import SPITEFUL, answer


def test_points() -> None:
    table = answer().to_pandas()
    assert list(table.columns) == [*POINT_COLUMNS, "attributes.year", "members.c0", "members.c1"]
    assert list(table["direction"]) == ["proponents", "proponents", "opponents"]
    assert list(table["score"]) == [4.0, 2.0, -8.0]
    assert list(table["row"]) == [11, 12, 11]
    assert list(table["low"]) == [3.0, 1.0, -9.0]
    assert table["preview"][0] == SPITEFUL
    assert table["attributes.year"][0] == 1843
    assert table["attributes.year"].isna()[1]


def test_points_of_one_end() -> None:
    assert list(answer(proponents=None).to_pandas()["direction"]) == ["opponents"]
    empty = answer(proponents=(), opponents=None).to_pandas()
    assert len(empty) == 0
    assert list(empty.columns) == list(POINT_COLUMNS)


def test_owners() -> None:
    shares = answer().shares
    assert shares is not None
    table = shares.to_pandas()
    assert list(table.columns) == list(OWNER_COLUMNS)
    assert table.iloc[0].to_dict() == {
        "owner": "Ada & Co",
        "share": 0.75,
        "share_standard_error": 0.1,
        "share_low": 0.5,
        "share_high": 1.0,
        "score": 6.0,
        "standard_error": 1.0,
        "low": 4.0,
        "high": 8.0,
        "examples": 3,
        "licenses": "MIT",
    }


def test_without_pandas_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any, **named: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(InvalidInput, match=r"pip install 'byline\[notebook\]'"):
        answer().to_pandas()
