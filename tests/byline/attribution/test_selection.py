"""Candidates and target points come as payloads or items, and what does not fit is named."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import byline
from byline.attribution.attributor import Attributor
from byline.attribution.selection import SelectionOptions, parsed_candidate
from byline.errors import InvalidInput, InvalidQuery, InvalidTask, NonFiniteGradient
from byline.recipes import recipe
from tests.byline.attribution.test_candidate_scores import FP32, RECIPES, training
from tests.indexer import tiny_task


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Attributor:
    folder = tmp_path_factory.mktemp("tiny")
    chosen = recipe("ekfac", **RECIPES["ekfac"])
    return byline.build(tiny_task.trained_task(), chosen, folder / "index", FP32, progress=False)


def test_payloads_and_items_are_the_same_candidates(tiny: Attributor) -> None:
    payloads = [{"x": x.tolist(), "label": label} for x, label in training(tiny)]
    by_payload, by_item = tiny.score_candidates(payloads), tiny.score_candidates(training(tiny))
    np.testing.assert_allclose(by_payload.scores_N, by_item.scores_N, rtol=1e-5)


def test_what_is_wrong_is_named(tiny: Attributor) -> None:
    fine, bad = training(tiny)[0], (torch.full((6,), float("nan")), 1)
    with pytest.raises((InvalidTask, NonFiniteGradient), match="candidate 2"):
        tiny.score_candidates([fine, bad])
    with pytest.raises(InvalidQuery, match="at least one candidate"):
        tiny.score_candidates([])
    with pytest.raises(InvalidQuery, match="candidate 1: expected a complete candidate"):
        tiny.score_candidates([{"x": [0.0] * 6}])
    with pytest.raises(InvalidQuery, match="candidate 1"):
        tiny.score_candidates([{"y": 3}])
    with pytest.raises(InvalidQuery, match="expected target to be one of loss"):
        tiny.score_candidates([fine], options=SelectionOptions(target="taste"))
    with pytest.raises(InvalidQuery, match="reduction"):
        SelectionOptions(reduction="sum")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="batch"):
        SelectionOptions(batch=0)
    assert tiny.task is not None
    assert tiny.task.query is not None
    train = replace(tiny.task.query, train=lambda payload: [fine, fine])
    assert len(parsed_candidate(train, {"x": [0.0] * 6}, "line 1").items) == 2


def test_an_index_without_its_task(tiny: Attributor) -> None:
    closed = Attributor.open_without_task(tiny.index.path)
    with pytest.raises(InvalidQuery, match="opened with its Task"):
        closed.score_candidates([(torch.zeros(6), 1)], [(torch.zeros(6), 1)])
