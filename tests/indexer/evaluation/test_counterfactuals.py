"""Comparisons with retrained models: single owners, common seeds, and baselines on the same truth."""

from pathlib import Path

import numpy as np
import pytest

from byline.attribution.attributor import Attributor
from byline.attribution.opening import load_featurizer, load_index_task
from byline.attribution.request import AttributionRequest
from byline.errors import InvalidInput
from byline.index.index import AttributionIndex
from byline.loading.task_file import load_task
from byline_indexer.build.build import build
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.evaluate import evaluate
from byline_indexer.evaluation.options import EvaluationOptions
from byline_indexer.scores import score_items
from tests.indexer.evaluation.test_evaluate import by_hand, with_
from tests.indexer.evaluation.test_jobs import Trainings

OWNERS, ROWS = 20, 40


def without_owners(owners: list[int]) -> np.ndarray:
    """The Task gives each owner two rows, one after the other."""
    return np.stack([np.arange(ROWS) // 2 != owner for owner in owners])


def test_leaving_owners_out_is_scipys(config: BuildConfig, options: EvaluationOptions) -> None:
    measured = evaluate(config, with_(options, metric="owner", tuning=0)).measured
    details = [each for each in measured.details if not each["dropped"]]
    expected = by_hand(
        config, without_owners(list(range(OWNERS))), [0] * OWNERS, [each["item"] for each in details]
    )
    np.testing.assert_allclose([(d["spearman"], d["pearson"]) for d in details], expected, atol=1e-4)
    found = measured.measurement
    assert found.value == pytest.approx(np.mean([spearman for spearman, _ in expected]), abs=1e-4)
    assert found.further["pearson"] > 0.8
    assert found.interval[0] < found.value < found.interval[1]
    assert found.text.startswith("leave-one-owner-out ")
    assert "20 owners left out" in found.sample
    assert (found.protocol.owners, found.protocol.subsets, found.protocol.paired) == (20, 20, True)


def test_summed_scores_are_those_that_shares_are_made_of(config: BuildConfig) -> None:
    task = load_task(config.task).task
    with AttributionIndex.open(build(config).path) as index:
        owner_J = index.examples.owner_numbers()
        scores_J = score_items(index, task, task.evaluation_set[:1], "loss")[0].astype(float)
        feature = load_featurizer(index, load_index_task(index)).query(task.evaluation_set[:1])[0].tolist()
    answer = Attributor.open(config.index.path).shares(AttributionRequest(feature=feature))
    found = {each.owner: each.score for each in answer.shares.owners}
    assert len(found) == OWNERS
    for row in range(0, ROWS, 2):
        summed = scores_J[owner_J == owner_J[row]].sum()
        assert found[f"owner-{row // 2}"] == pytest.approx(summed, rel=1e-4, abs=1e-5)


def test_fewer_owners_begin_with_the_largest(
    config: BuildConfig, options: EvaluationOptions, trainings: Trainings, tmp_path: Path
) -> None:
    found = evaluate(config, with_(options, metric="owner", owners=5)).measured.measurement
    assert "5 owners left out of 20" in found.sample
    assert trainings() == ["38 0"] * 5
    evaluate(config, with_(options, metric="owner", owners=8, seeds=2))
    assert trainings()[5:] == ["38 0"] * 3 + ["38 1"] * 8
    truth = np.load(tmp_path / "out" / "truth-owner.npz")
    np.testing.assert_array_equal(truth["subsets"].sum(axis=1), [38] * 8)


@pytest.mark.parametrize(
    ("changes", "seeds"),
    [
        ({"alpha": 0.95}, {0}),
        ({"alpha": 0.95, "paired": False}, {0, 1, 2, 3}),
        ({"alpha": 0.5}, {0, 1, 2, 3}),
        ({"alpha": 0.5, "paired": True}, {0}),
        ({"metric": "loo", "points": 4}, {0}),
        ({"metric": "loo", "points": 4, "paired": False}, {0, 1, 2, 3}),
    ],
)
def test_few_rows_are_left_out_with_common_seeds(
    config: BuildConfig,
    options: EvaluationOptions,
    trainings: Trainings,
    changes: dict[str, object],
    seeds: set[int],
) -> None:
    found = evaluate(config, with_(options, subsets=4, **changes)).measured.measurement
    assert {int(line.split()[1]) for line in trainings()} == seeds
    assert found.protocol.paired is (len(seeds) == 1)


def test_common_seeds_raise_the_ceiling_where_few_rows_are_left_out(
    config: BuildConfig, options: EvaluationOptions
) -> None:
    few = with_(options, alpha=0.95, seeds=2, tuning=0)
    paired = evaluate(config, few).measured.measurement
    independent = evaluate(config, with_(few, paired=False)).measured.measurement
    assert paired.ceiling > independent.ceiling
    assert paired.further["halves_of_seeds"] > 0.9
    assert "subsets that keep 95%" in paired.sample


def test_a_truth_file_of_owners(config: BuildConfig, options: EvaluationOptions, tmp_path: Path) -> None:
    first = evaluate(config, with_(options, metric="owner", owners=6, seeds=2)).measured
    kept = with_(options, metric="owner", truth=tmp_path / "out" / "truth-owner.npz", out=tmp_path / "other")
    again = evaluate(config, kept).measured
    assert again.details == first.details
    assert again.measurement.protocol.paired is None
    outputs = np.random.default_rng(0).random((3, 12))
    for name, subsets in {
        "part": ~np.eye(3, ROWS, dtype=bool),
        "two": without_owners([0, 1, 2]) & without_owners([3, 4, 5]),
        "twice": without_owners([0, 1, 0]),
        "none": np.ones((3, ROWS), dtype=bool),
    }.items():
        np.savez(tmp_path / f"{name}.npz", subsets=subsets, outputs=outputs)
        with pytest.raises(InvalidInput, match="all points of another owner"):
            evaluate(config, with_(kept, truth=tmp_path / f"{name}.npz"))


def test_the_card_carries_the_baselines_of_the_same_truth(
    config: BuildConfig, options: EvaluationOptions
) -> None:
    for metric in ("lds", "loo", "owner"):
        found = evaluate(config, with_(options, metric=metric)).measured.measurement
        assert set(found.baselines) == {"bm25", "representation"}
        for each in found.baselines.values():
            assert each.interval[0] <= each.value <= each.interval[1]
            assert each.lead[0] <= found.value - each.value <= each.lead[1]
