"""The search varies one axis after another, and stays within its budget."""

import math
from typing import Any

import numpy as np
import pytest

from byline.errors import InvalidInput
from byline.recipes import recipe
from byline_indexer.evaluation.axes import Facts
from byline_indexer.evaluation.candidates import Candidate
from byline_indexer.evaluation.costs import Budget, Cost
from byline_indexer.evaluation.grid import Grid
from byline_indexer.evaluation.search import STAGES, Search
from byline_indexer.evaluation.trials import Trial

FACTS = Facts(targets=frozenset({"margin"}), checkpoints=5, rows=5000, parameters=100_000, dropout=True)
OWN = recipe("ekfac")


def cost(candidate: Candidate) -> Cost:
    chosen: Any = candidate.recipe
    numbers = (
        chosen.pca.size
        if chosen.pca
        else getattr(chosen.projection, "size", 2000) * len(chosen.members.members(5))
    )
    return Cost(4.0 * numbers, 4 * numbers * 5000, 1.0 + candidate.refine * 10)


def additive(candidate: Candidate) -> float:
    """An LDS to which each axis adds its own part, with one best value."""
    chosen: Any = candidate.recipe
    value = 0.1 * (chosen.curvature.kind == "ekfac") - 0.02 * abs(math.log(chosen.curvature.damping))
    value += 0.05 * (chosen.pca is not None) + 0.01 * (chosen.members.checkpoints is None)
    value += 0.03 * (chosen.members.mask_rate == 0.3) * (chosen.train_signal == "margin")
    return value - 0.01 * (chosen.members.queries == "whole") + 0.02 * (candidate.refine > 0)


def searched(value: Any, budget: Budget | None = None, grid: Grid | None = None) -> tuple[list[Trial], Trial]:
    asked: list[str] = []

    def measure(candidate: Candidate) -> Trial:
        asked.append(candidate.key)
        return Trial(candidate, cost(candidate), np.zeros((2, 1)), np.array([value(candidate)]))

    search = Search(grid or Grid(), FACTS, budget or Budget(), measure)
    found = search.run(OWN)
    assert len(asked) == len(set(asked)), "each setting is measured once"
    return found, max(found, key=search.rank)


def test_the_best_of_every_axis_is_found() -> None:
    found, best = searched(additive)
    chosen: Any = best.candidate.recipe
    assert (chosen.curvature.kind, chosen.curvature.damping, chosen.train_signal) == ("ekfac", 1.0, "margin")
    assert (chosen.members.checkpoints, chosen.members.mask_rate, chosen.members.queries) == (
        None,
        0.3,
        "masked",
    )
    assert chosen.pca is not None
    assert found[0].candidate == Candidate(OWN)
    assert len(found) < 60, "not the product of the axes"


def test_both_branches_get_their_sizes_and_dampings() -> None:
    def late(candidate: Candidate) -> float:
        chosen: Any = candidate.recipe
        worth = chosen.curvature.kind == "fisher" and chosen.curvature.damping == 10.0
        return (
            0.9
            if worth
            else 0.3 + 0.1 * (chosen.curvature.kind == "ekfac") - 0.2 * (chosen.train_signal == "margin")
        )

    _, best = searched(late)
    assert best.lds == 0.9


def test_the_best_is_within_the_budget() -> None:
    budget = Budget(row_bytes=4 * 600)
    facts_numbers = Facts(**{**FACTS.__dict__, "numbers": 600})

    def measure(candidate: Candidate) -> Trial:
        price = cost(candidate)
        return Trial(candidate, price, np.zeros((2, 1)), np.array([price.row_bytes / 1e5]))

    search = Search(Grid(), facts_numbers, budget, measure)
    found = search.run(OWN)
    assert found[0].cost.row_bytes > 4 * 600, "the build file's own is measured all the same"
    assert all(each.cost.row_bytes <= 4 * 600 for each in found[1:])
    assert max(found, key=search.rank).cost.row_bytes == 4 * 600


def test_slow_queries_are_over_the_budget() -> None:
    _, best = searched(additive, Budget(milliseconds=5.0))
    assert best.candidate.refine == 0


def test_settings_that_cannot_be_measured_are_passed_over() -> None:
    def measure(candidate: Candidate) -> Trial | None:
        if candidate.recipe.name != "logra":
            return None
        return Trial(candidate, cost(candidate), np.zeros((2, 1)), np.array([0.1]))

    found = Search(Grid(), FACTS, Budget(), measure).run(OWN)
    assert {each.candidate.recipe.name for each in found} == {"logra"}
    with pytest.raises(InvalidInput, match="widen the grid"):
        Search(Grid(), FACTS, Budget(), lambda _: None).run(OWN)


def test_the_order_of_the_axes() -> None:
    assert [stage.name for stage in STAGES] == [
        "recipe and target", "size", "optimizer", "damping", "checkpoints", "masks", "refine",
    ]  # fmt: skip
