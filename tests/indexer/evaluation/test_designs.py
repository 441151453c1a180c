"""Designs of subsets: groups are kept or left out whole."""

from pathlib import Path

import numpy as np
import pytest

from byline.errors import InvalidInput
from byline.index.index import AttributionIndex
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.evaluate import evaluate
from byline_indexer.evaluation.options import EvaluationOptions
from tests.indexer.evaluation.test_evaluate import with_


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
