"""Readers of units' outputs: widths, features and weights of the rows that a PCA is fitted on."""

from pathlib import Path

import torch

from byline.task import Task
from byline_indexer.build.probe import make_plan
from byline_indexer.progress import Silent
from byline_indexer.units.executor import InProcess
from byline_indexer.units.outputs import (
    block_features,
    block_weights,
    every_weight,
    member_width,
    wide_features,
    wide_weights,
)
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.schedule import run_units
from byline_indexer.units.workspace import Workspace
from tests.indexer.conftest import Config

PCA = {"pca": {"size": 5, "sample": 40}}


def built(
    config: Config, task: Task, work: Path, recipe: str, **changes: object
) -> tuple[BuildPlan, Workspace]:
    plan = make_plan(config(recipe, changes=changes), task, work)
    workspace = Workspace(plan.work)
    with InProcess(plan, task) as executor:
        run_units(plan, workspace, executor, Silent())
    return plan, workspace


def test_the_fit_reads_wide_features_and_the_index_rotated_ones(
    config: Config, tiny: Task, tmp_path: Path
) -> None:
    plan, workspace = built(config, tiny, tmp_path / "pca", "trak", **PCA)
    whole, beside = built(config, tiny, tmp_path / "whole", "trak")
    member = plan.members[0].name
    assert member_width(plan, workspace, member) == member_width(whole, beside, member) > 5
    for block in plan.rotation_blocks:
        chosen = torch.from_numpy(plan.rotation_rows(block))
        expected = block_features(beside, member, block)[chosen]
        torch.testing.assert_close(wide_features(workspace, member, block), expected)
        assert block_features(workspace, member, block).shape == (len(plan.block_rows(block)), 5)
        torch.testing.assert_close(
            wide_weights(plan, workspace, block), block_weights(whole, beside, block)[chosen]
        )
    assert sum(len(plan.rotation_rows(block)) for block in plan.rotation_blocks) == 40
    torch.testing.assert_close(
        every_weight(plan, workspace), every_weight(whole, beside), rtol=1e-5, atol=1e-7
    )


def test_weights_of_forward_masks_are_the_fits_rows_too(config: Config, tiny: Task, tmp_path: Path) -> None:
    changes = {**PCA, "members": {"forward_masks": 2}}
    plan, workspace = built(config, tiny, tmp_path / "pca", "trak", **changes)
    block = plan.rotation_blocks[0]
    chosen = torch.from_numpy(plan.rotation_rows(block))
    assert torch.equal(wide_weights(plan, workspace, block), block_weights(plan, workspace, block)[chosen])


def test_rows_without_a_weight_have_ones(config: Config, tiny: Task, tmp_path: Path) -> None:
    plan, workspace = built(config, tiny, tmp_path / "pca", "logra", **PCA)
    assert torch.equal(every_weight(plan, workspace), torch.ones(plan.rows, dtype=torch.float64))
    block = plan.rotation_blocks[0]
    assert torch.equal(
        wide_weights(plan, workspace, block), torch.ones(len(plan.rotation_rows(block)), dtype=torch.float64)
    )
