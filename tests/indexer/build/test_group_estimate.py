"""What grouping will cost: columns and random groups are counted, k-means is tried on one batch."""

from pathlib import Path

import pytest

from byline.groups import GroupOptions
from byline.task import Task
from byline_indexer.build.build import build
from byline_indexer.build.estimate import estimate
from byline_indexer.build.group_estimate import grouping
from byline_indexer.build.probe import make_plan
from byline_indexer.config import BuildConfig
from tests.indexer import tiny_task
from tests.indexer.build.test_group_rows import RECIPES, TASK
from tests.indexer.conftest import Config


@pytest.mark.parametrize(
    ("options", "groups"),
    [
        (None, 90),
        (GroupOptions(by="owner"), 4),
        (GroupOptions(by="random", size=9), 10),
        (GroupOptions(by="kmeans", count=5), 5),
        (GroupOptions(by="kmeans", count=5, of="inputs"), 5),
    ],
)
def test_groups_are_counted(config: Config, tiny: Task, options: GroupOptions | None, groups: int) -> None:
    chosen = config("logra").model_copy(update={"groups": options})
    found = grouping(make_plan(chosen, tiny), tiny)
    assert found.groups == groups
    assert (found.seconds > 0) == (options is not None)


def test_a_dry_run_tells_what_grouping_takes(config: Config) -> None:
    chosen = config("logra").model_copy(update={"groups": GroupOptions(by="kmeans", count=5)})
    passes = {each.name: each for each in estimate(chosen).passes}
    assert passes["group training points"].rows == 90
    assert passes["write the index"].rows == 5


@pytest.mark.parametrize("name", ["ekfac", "trak"])
@pytest.mark.parametrize(
    "groups",
    [
        {"by": "owner"},
        {"by": "random", "size": 7, "build": "fast"},
        {"by": "random", "size": 40, "build": "fast"},
        {"by": "kmeans", "of": "inputs", "count": 6},
    ],
)
def test_a_dry_run_counts_groups(name: str, groups: dict, tmp_path: Path) -> None:
    config = BuildConfig.model_validate(
        {
            "task": f"{TASK}:task",
            "recipe": {"name": name, **RECIPES[name]},
            "index": {"path": tmp_path},
            "build": {"block_rows": 32, "batch_rows": 16},
            "groups": groups,
        }
    )
    found = estimate(config)
    assert list(tmp_path.iterdir()) == []
    shard = (build(config).path / "vectors/00000.npy").stat().st_size
    # k-means may find fewer groups than it was asked for.
    assert found.vectors * (0.5 if groups["by"] == "kmeans" else 1) - 200 <= shard <= found.vectors + 200
    passes = {each.name: each.rows for each in found.passes}
    assert passes["group training points"] == tiny_task.ROWS
    assert ("weigh" in passes) == (name == "trak" and groups.get("build") == "fast")
