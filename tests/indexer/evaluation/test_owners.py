"""Owners of an index's rows: of points, of groups, and where there are none."""

from pathlib import Path

import numpy as np
import pytest

from byline.errors import InvalidInput, InvalidTask
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.evaluate import evaluate
from byline_indexer.evaluation.options import EvaluationOptions
from byline_indexer.evaluation.owners import OwnedRows
from tests.indexer.evaluation.conftest import SOURCE
from tests.indexer.evaluation.test_evaluate import with_


def grouped(config: BuildConfig, **groups: object) -> BuildConfig:
    return BuildConfig.model_validate({**config.model_dump(), "groups": groups, "recipe": config.recipe})


def test_groups_by_owner_give_the_figure_of_points(
    config: BuildConfig, options: EvaluationOptions, tmp_path: Path
) -> None:
    owner = with_(options, metric="owner", owners=7)
    points = evaluate(config, owner).measured.measurement
    path = config.index.model_copy(update={"path": tmp_path / "groups"})
    groups = evaluate(
        grouped(config.model_copy(update={"index": path}), by="owner"), owner
    ).measured.measurement
    assert groups.value == pytest.approx(points.value, abs=0.02)
    for name, each in points.baselines.items():
        assert groups.baselines[name].value == each.value
    assert groups.sample == points.sample


def test_groups_of_several_owners_are_refused(config: BuildConfig, options: EvaluationOptions) -> None:
    with pytest.raises(InvalidInput, match=r"groups\.by = 'owner'"):
        evaluate(grouped(config, by="label"), with_(options, metric="owner"))


@pytest.mark.parametrize(
    ("owner", "found"), [("None", 0), ('"one"', 1), ('["one", "two", None][row % 3]', 2)]
)
def test_a_task_without_owners_is_refused_before_anything_is_built(
    config: BuildConfig, options: EvaluationOptions, tmp_path: Path, owner: str, found: int
) -> None:
    source = tmp_path / SOURCE.name
    text = source.read_text()
    assert 'owner=f"owner-{row // 2}"' in text
    source.write_text(text.replace('owner=f"owner-{row // 2}"', f"owner={owner}"))
    with pytest.raises(
        InvalidTask, match=rf"at least 3 owners, for --metric owner, got {found}: set Example.owner"
    ):
        evaluate(config, with_(options, metric="owner"))
    assert not config.index.path.exists()


def test_rows_that_belong_to_nobody_are_never_left_out() -> None:
    owned = OwnedRows(np.array([0, -1, 1, 1, -1, 2], dtype=np.int32), 3)
    owned.require_whole(np.array([[0, 1, 1, 1, 1, 1], [1, 1, 0, 0, 1, 1]], dtype=bool))
    with pytest.raises(InvalidInput, match="got 1 of 2 that do not"):
        owned.require_whole(np.array([[0, 0, 1, 1, 1, 1], [1, 1, 0, 0, 1, 1]], dtype=bool))
    with pytest.raises(InvalidInput, match="got 1 of 1"):
        owned.require_whole(np.array([[1, 0, 1, 1, 0, 1]], dtype=bool))
