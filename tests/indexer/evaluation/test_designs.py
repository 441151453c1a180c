"""Designs of subsets: seeds that are common or each subset's own, owners, and groups that are kept or left out whole."""

from pathlib import Path

import numpy as np
import pytest

from byline.errors import InvalidInput
from byline.index.index import AttributionIndex
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.designs import (
    leave_one_out,
    leave_owners_out,
    paired_by_default,
    random_subsets,
)
from byline_indexer.evaluation.evaluate import evaluate
from byline_indexer.evaluation.options import EvaluationOptions
from tests.indexer.evaluation.test_evaluate import with_


def seeds_of(design) -> list[list[int]]:
    return [[design.training_seed(s, t) for s in range(len(design.subsets_SJ))] for t in range(2)]


def test_paired_subsets_share_the_seed_of_each_repetition() -> None:
    first, second = seeds_of(random_subsets(10, 4, 0.5, 0, paired=True))
    assert len(set(first)) == len(set(second)) == 1
    assert first != second
    independent = seeds_of(random_subsets(10, 4, 0.5, 0))
    assert len({seed for row in independent for seed in row}) == 8
    assert leave_one_out(10, 4, 0).paired
    np.testing.assert_array_equal(
        random_subsets(10, 4, 0.5, 0, paired=True).subsets_SJ, random_subsets(10, 4, 0.5, 0).subsets_SJ
    )


def test_subsets_that_lack_few_rows_are_paired_by_default() -> None:
    assert [paired_by_default(alpha) for alpha in (0.3, 0.5, 0.89, 0.9, 0.95)] == [False] * 3 + [True] * 2


def test_owners_are_left_out_whole_and_the_largest_first() -> None:
    owner_J = np.array([2, 0, 1, -1, 1, 0, 1, 3, 0])
    design = leave_owners_out(owner_J, most=3)
    assert design.paired
    left_out = [np.flatnonzero(~subset).tolist() for subset in design.subsets_SJ]
    assert left_out == [[1, 5, 8], [2, 4, 6], [0]]
    assert len(leave_owners_out(owner_J, most=9).subsets_SJ) == 4


@pytest.mark.parametrize("by", ["owner", "random"])
def test_groups_are_kept_or_left_out_whole(
    config: BuildConfig, options: EvaluationOptions, tmp_path: Path, by: str
) -> None:
    groups = {"by": by} if by == "owner" else {"by": by, "size": 2}
    grouped = BuildConfig.model_validate({**config.model_dump(), "groups": groups, "recipe": config.recipe})
    found = evaluate(grouped, options).measured.measurement
    assert found.value > 0.5
    truth = dict(np.load(tmp_path / "out" / "truth-lds.npz"))
    assert truth["subsets"].shape == (12, 40)
    assert (truth["subsets"].sum(axis=1) == 20).all()
    with AttributionIndex.open(grouped.index.path) as index:
        for group in range(len(index.groups)):
            kept = truth["subsets"][:, index.groups[group]]
            assert (kept == kept[:, :1]).all()
    from_file = with_(options, truth=tmp_path / "out" / "truth-lds.npz")
    assert evaluate(grouped, from_file).measured.measurement.value == found.value
    divided = {**truth, "subsets": ~np.eye(12, 40, dtype=bool)}
    np.savez(tmp_path / "divided.npz", **divided)
    with pytest.raises(InvalidInput, match="whole groups"):
        evaluate(grouped, with_(options, truth=tmp_path / "divided.npz"))
