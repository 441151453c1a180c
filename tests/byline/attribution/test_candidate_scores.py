"""A training point that comes as a candidate has the scores that the index gives its row."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import byline
from byline.attribution.attributor import Attributor
from byline.attribution.candidate_scores import Candidate, CandidateScores, join_targets
from byline.attribution.effects import Effect
from byline.attribution.selection import SelectionOptions
from byline.errors import InvalidQuery
from byline.index.layout import StorageOptions
from byline.recipes import recipe
from tests.indexer import tiny_task

FP32 = byline.BuildOptions(storage=StorageOptions(dtype="fp32"))
RECIPES = {
    "ekfac": {"projection": {"size": 24}, "members": {"masks": 2}},
    "ekfac_pca": {"projection": {"size": 64}, "pca": {"size": 16, "sample": 64}},
    "less": {"projection": {"size": 64}},
    "trak": {"projection": {"size": 32}},
    "datainf": {},
    "relatif": {"projection": {"size": 24}},
    "if_cg": {"projection": {"size": 64}},
}
ROWS = [3, 40, 41, 7, 88]


@pytest.fixture(scope="module", params=RECIPES)
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Attributor:
    chosen = recipe(request.param, **RECIPES[request.param])
    folder = tmp_path_factory.mktemp(request.param)
    return byline.build(tiny_task.trained_task(), chosen, folder / "index", FP32, progress=False)


def training(opened: Attributor) -> list:
    assert opened.task is not None
    return [opened.task.train_set[row] for row in ROWS]


@pytest.mark.parametrize("reduction", ["mean", "max"])
def test_training_points_have_the_scores_of_their_rows(opened: Attributor, reduction: str) -> None:
    assert opened.task is not None
    assert opened.task.evaluation_set is not None
    by_target = opened.item_scores(opened.task.evaluation_set)[:, ROWS]
    expected = by_target.mean(axis=0) if reduction == "mean" else by_target.max(axis=0)
    found = opened.score_candidates(training(opened), options=SelectionOptions(reduction=reduction, batch=3))
    np.testing.assert_allclose(found.scores_N, expected, atol=2e-5 * np.abs(by_target).max())
    np.testing.assert_array_equal(found.order, np.argsort(-found.scores_N, kind="stable"))
    if reduction == "max":
        np.testing.assert_array_equal(found.closest_N, by_target.argmax(axis=0))


def test_the_standard_error_is_that_of_an_answer(opened: Attributor) -> None:
    query = {"x": [0.5, -1.0, 0.25, 2.0, 0.0, 1.0], "label": 1}
    answer = opened.attribute(query, k=tiny_task.ROWS)
    by_row = {each.row: each for each in answer.proponents}
    found = opened.score_candidates(training(opened), [query])
    for place, row in enumerate(ROWS):
        expected = by_row[row].standard_error
        if expected is None:
            assert found.errors_N is None
        else:
            assert found.errors_N is not None
            assert found.errors_N[place] == pytest.approx(expected, rel=2e-3)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Attributor:
    folder = tmp_path_factory.mktemp("tiny")
    chosen = recipe("ekfac", **RECIPES["ekfac"])
    return byline.build(tiny_task.trained_task(), chosen, folder / "index", FP32, progress=False)


def test_neither_the_batch_nor_the_order_matters(tiny: Attributor) -> None:
    candidates = training(tiny)
    for reduction in ("mean", "max"):
        one = tiny.score_candidates(candidates, options=SelectionOptions(reduction=reduction, batch=1))
        all_at_once = tiny.score_candidates(candidates, options=SelectionOptions(reduction=reduction))
        backwards = tiny.score_candidates(candidates[::-1], options=SelectionOptions(reduction=reduction))
        np.testing.assert_allclose(one.scores_N, all_at_once.scores_N, rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(backwards.scores_N[::-1], all_at_once.scores_N, rtol=1e-4, atol=1e-7)


def test_the_chunks_of_a_document_add_up(tiny: Attributor) -> None:
    items = training(tiny)
    selection = tiny.selection(SelectionOptions(batch=2))
    targets = selection.of_rows(range(20))
    alone = selection.scores([Candidate(name=str(n), items=[item]) for n, item in enumerate(items)], targets)
    whole = selection.scores(
        [
            Candidate(name="all", items=items),
            Candidate(name="none", items=[]),
            Candidate(name="two", items=items[:2]),
        ],
        targets,
    )
    expected = [alone.scores_N.sum(), 0.0, alone.scores_N[:2].sum()]
    np.testing.assert_allclose(whole.scores_N, expected, rtol=1e-4, atol=1e-7)


def test_candidates_are_read_as_they_are_needed(tiny: Attributor) -> None:
    selection, waiting, most = tiny.selection(SelectionOptions(batch=4)), 0, 0
    targets = selection.of_rows([1, 2])

    class Watched(list):
        def __init__(self, item: object) -> None:
            nonlocal waiting, most
            super().__init__([item])
            waiting += 1
            most = max(most, waiting)

        def __del__(self) -> None:
            nonlocal waiting
            waiting -= 1

    item = training(tiny)[0]
    found = selection.scores((Candidate(name=str(n), items=Watched(item)) for n in range(40)), targets)
    assert len(found.scores_N) == 40
    assert most <= 9  # a batch, the next one, and the one that is made


def test_the_predicted_change_of_the_best_is_a_sum() -> None:
    effect = Effect(factor=-0.01, unit="nats", note="")
    scores = CandidateScores(
        scores_N=np.array([1.0, 3.0, -2.0]), errors_N=None, closest_N=None, effect=effect
    )
    assert scores.order.tolist() == [1, 0, 2]
    assert scores.predicted_changes is not None
    np.testing.assert_allclose(scores.predicted_changes, [-0.01, -0.03, 0.02])
    assert scores.change_of_best(2) == pytest.approx(-0.04)
    assert replace(scores, closest_N=np.zeros(3, dtype=np.int64)).change_of_best(2) is None
    assert replace(scores, effect=Effect(factor=None, unit=None, note="")).change_of_best(2) is None


def test_a_mean_is_over_all_batches() -> None:
    rows = torch.arange(12.0).reshape(6, 2)
    parts = rows[:, None].expand(6, 3, 2)
    found = join_targets([(rows[:5], parts[:5]), (rows[5:], parts[5:])], "mean")
    np.testing.assert_allclose(found.features_TK, [[5.0, 6.0]])
    assert found.parts_TMK is not None
    assert (found.parts_TMK.shape, found.points) == ((1, 3, 2), 6)
    assert join_targets([(rows, None)], "max").features_TK.shape == (6, 2)
    with pytest.raises(InvalidQuery, match="at least one target point"):
        join_targets([], "mean")


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("rif", {}, "leverage"),
        ("trak", {"members": {"forward_masks": 2}}, "forward_masks"),
    ],
)
def test_recipes_that_score_no_candidates(name: str, changes: dict, words: str, tmp_path: Path) -> None:
    opened = byline.build(tiny_task.trained_task(), recipe(name, **changes), tmp_path, progress=False)
    with pytest.raises(InvalidQuery, match=words):
        opened.score_candidates(training(opened))
