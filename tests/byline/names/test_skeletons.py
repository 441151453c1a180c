"""Skeletons of names. `tests/service/test_person_names.py` compares them with Unicode's table."""

import pytest

from byline.names.skeletons import script_of, skeleton, skeletons


@pytest.mark.parametrize(
    ("one", "other"), [("ada", "\u0430d\u0430"), ("ada", "ADA"), ("Zo\u00eb", "Zoe\u0308"), ("l0u", "lOu")]
)
def test_names_that_look_alike_share_one(one: str, other: str) -> None:
    assert skeletons(one) & skeletons(other)


def test_other_names_share_none() -> None:
    assert not skeletons("ada") & skeletons("adam")
    assert skeleton("ada") == "ada"


def test_scripts() -> None:
    assert [script_of(each) for each in ("a", "\u0430", "1")] == ["LATIN", "CYRILLIC", "COMMON"]
