"""Works and the rest add up to the owner's sum exactly, and other works are found."""

from fractions import Fraction

import numpy as np
import pytest

from byline_service.compensation.fixed_point import BITS, fixed_point
from byline_service.compensation.works import TOP_WORKS, rest_of, whole_works, works_errors
from tests.service.compensation.reference import event

SCORES = {"ada": (5, -2, 9), "grace": (1, 1, 1)}


def test_integers_are_those_of_exact_rounding() -> None:
    generator = np.random.default_rng(0)
    works = {
        f"owner {o}": [
            (f"{o}-{w}", float(generator.standard_normal() * 10.0 ** generator.integers(-30, 3)))
            for w in range(5)
        ]
        for o in range(50)
    }
    scale, _ = fixed_point({"a": [1e-3]}, (score for each in works.values() for _, score in each))
    found = whole_works(works, scale)
    for owner, each in works.items():
        exact = [(work, round(Fraction(score) * Fraction(2) ** scale)) for work, score in each]
        assert list(found.get(owner, ())) == [(work, n) for work, n in exact if n]
    assert max(abs(n) for each in found.values() for _, n in each) <= 1 << BITS


def test_works_that_cancel_are_larger_than_their_owners_sum() -> None:
    scale, scores = fixed_point({"ada": [0.5, 0.25]}, [1e6, -1e6])
    works = whole_works({"ada": [("a", 1e6), ("b", -1e6)]}, scale)
    booked = event(scores, (0, 1), scale=scale, works=works)
    assert works_errors(booked) == []
    assert sum(n for _, n in works["ada"]) + rest_of(booked, "ada") == sum(scores["ada"])


def test_owners_without_named_works_have_the_whole_sum_as_rest() -> None:
    booked = event(SCORES, works={"ada": (("x", 30), ("y", -8))})
    assert (rest_of(booked, "ada"), rest_of(booked, "grace")) == (12 - 22, 3)
    assert works_errors(booked) == []


@pytest.mark.parametrize(
    ("works", "error"),
    [
        ({"mallory": (("x", 1),)}, "without a score"),
        ({"ada": (("x", 1), ("x", 1))}, "different works"),
        ({"ada": ()}, "different works"),
        ({"ada": tuple((str(n), 9) for n in range(TOP_WORKS + 1))}, "different works"),
        ({"ada": (("x", 1), ("y", 2))}, "order"),
        ({"ada": (("x", 0),)}, "is 0 or larger"),
        ({"ada": (("x", (1 << BITS) + 1),)}, "is 0 or larger"),
    ],
)
def test_works_that_no_answer_has_are_found(
    works: dict[str, tuple[tuple[str, int], ...]], error: str
) -> None:
    (found,) = works_errors(event(SCORES, works=works))
    assert error in found
