"""What grouping will cost: columns and random groups are counted, k-means is tried on one batch."""

import pytest

from byline.groups import GroupOptions
from byline.task import Task
from byline_indexer.build.estimate import estimate
from byline_indexer.build.group_estimate import grouping
from byline_indexer.build.probe import make_plan
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
