"""Sums of batches, and states of statistics that are merged."""

import pytest
import torch

from byline.curvature.base import SCRATCH
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.state import (
    GATHERED,
    add_state,
    fitted_before,
    gather_projections,
    join_states,
    read_states,
    without_scratch,
)
from byline_indexer.units.unit import Stage, Unit
from byline_indexer.units.workspace import Workspace


def test_sums_are_added_without_touching_a_batch() -> None:
    first, sums = {"a": torch.ones(2)}, dict[str, torch.Tensor]()
    add_state(sums, first)
    add_state(sums, {"a": torch.full((2,), 2.0), "b": torch.ones(1)})
    assert sums["a"].tolist() == [3, 3]
    assert sums["b"].tolist() == [1]
    assert first["a"].tolist() == [1, 1]


@pytest.mark.parametrize("sizes", [[1], [100, 100, 100], [GATHERED, 1], [3] * 200])
def test_gathered_projections_are_the_same_rows_in_fewer_tensors(sizes: list[int]) -> None:
    parts = [torch.randn(size, 2) for size in sizes]
    found = list(gather_projections(iter(parts)))
    assert torch.equal(torch.cat(found), torch.cat(parts))
    assert all(len(part) >= GATHERED for part in found[:-1])


def test_states_are_merged_in_the_order_of_the_statistics(plan: BuildPlan) -> None:
    workspace = Workspace(plan.work)
    names = [statistic.name for statistic in plan.statistics]
    for place, name in enumerate(names):
        made = {f"of.{name}": torch.tensor([float(place)]), f"{SCRATCH}{name}": torch.zeros(1)}
        workspace.write(Unit(Stage.REDUCE, "c0", 0, name), made)
    assert fitted_before(plan, None) == tuple(names)
    assert fitted_before(plan, names[-1]) == tuple(names[:-1])
    state = read_states(workspace, "c0", names)
    assert without_scratch(state).keys() == {f"of.{name}" for name in names}


def test_blocks_of_batches_are_joined() -> None:
    joined = join_states([{"x": torch.zeros(2, 3)}, {"x": torch.ones(1, 3)}])
    assert joined["x"].shape == (3, 3)
