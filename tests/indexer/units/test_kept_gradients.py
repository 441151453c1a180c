"""Gradients that a fit's first pass keeps: a later pass that reads them makes the same bytes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from byline.gradients.outer_products.factors import BatchGradients
from byline.gradients.outer_products.narrow import with_matrices
from byline.models.member import MemberModel
from byline.recipes import recipe
from byline.task import Task
from byline.tasks import Document, LocalModel, causal_language_model
from byline_indexer.build.probe import make_plan
from byline_indexer.config import BuildSection, BuildSettings, IndexSection
from byline_indexer.progress import Silent
from byline_indexer.units.executor import InProcess
from byline_indexer.units.kept_gradients import KeptGradients
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.schedule import run_units
from byline_indexer.units.unit import Stage, Unit
from byline_indexer.units.workspace import Workspace
from tests.byline.tasks.adapters import save_adapter

ROWS = np.array([3, 1], dtype=np.int64)
MATRICES = {"b": torch.randn(2, 3, 5), "a": torch.randn(2, 4, 2)}


def test_gradients_are_found_as_they_were_kept(tmp_path: Path) -> None:
    kept, objective_N = KeptGradients(tmp_path, "cpu"), torch.tensor([1.0, 2.0])
    kept.keep("c0", ROWS, objective_N, MATRICES)
    found = kept.find("c0", ROWS, list(MATRICES))
    expected = with_matrices(BatchGradients(objective_N, {}), MATRICES)
    assert found is not None
    assert torch.equal(found.objective_N, objective_N)
    assert list(found.blocks) == ["b", "a"]
    assert torch.equal(found.dense(), expected.dense())
    assert kept.find("c0", ROWS[::-1].copy(), list(MATRICES)) is None, "another batch"
    assert kept.find("c1", ROWS, list(MATRICES)) is None, "another member"


def test_a_damaged_file_is_no_gradient(tmp_path: Path) -> None:
    kept = KeptGradients(tmp_path, "cpu")
    kept.keep("c0", ROWS, torch.ones(2), MATRICES)
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-8])
    assert kept.find("c0", ROWS, list(MATRICES)) is None


def test_one_member_has_gradients_on_the_disk(tmp_path: Path) -> None:
    kept = KeptGradients(tmp_path, "cpu")
    for member in ("c0", "c1"):
        kept.keep(member, ROWS, torch.ones(2), MATRICES)
    assert kept.find("c0", ROWS, list(MATRICES)) is None
    assert kept.find("c1", ROWS, list(MATRICES)) is not None


Planned = Callable[[str], tuple[BuildPlan, Task]]


@pytest.fixture
def planned(lm_folder: Path, documents: list[Document], tmp_path: Path) -> Planned:
    save_adapter(lm_folder, tmp_path / "adapter")
    local = LocalModel(folder=lm_folder, adapter=tmp_path / "adapter")
    task = causal_language_model("tuned", local, documents)
    projection = {"kind": "eigenbasis", "size": 64, "rank": 8}
    settings = BuildSettings(
        recipe=recipe("ekfac_pca", projection=projection, pca={"size": 4, "sample": 4096}),
        index=IndexSection(path=tmp_path / "index"),
        build=BuildSection(block_rows=4, batch_rows=2),
    )
    return lambda name: (make_plan(settings, task, tmp_path / name), task)


def run(plan: BuildPlan, task: Task) -> dict[str, bytes]:
    """Outputs that the index is written from."""
    workspace = Workspace(plan.work)
    with InProcess(plan, task) as executor:
        run_units(plan, workspace, executor, Silent())
    lasting = [Unit(Stage.REDUCE, plan.members[0].name, 0, s.name) for s in plan.statistics]
    lasting += plan.rotate_units()
    return {str(unit): (plan.work / "outputs" / f"{unit.path}.safetensors").read_bytes() for unit in lasting}


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the items that the model differentiates from now on."""
    items: list[int] = []
    differentiate = MemberModel.gradients

    def gradients(self, batch, target="loss"):
        items.append(len(batch))
        return differentiate(self, batch, target)

    monkeypatch.setattr(MemberModel, "gradients", gradients)
    return items


def test_a_fit_on_all_rows_differentiates_each_row_once(
    planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, task = planned("kept")
    assert plan.keeps_gradients
    items = counted(monkeypatch)
    kept = run(plan, task)
    assert sum(items) == plan.rows
    items.clear()
    anew, _ = planned("anew")
    items.clear()
    made = run(replace(anew, keeps_gradients=False), task)
    assert sum(items) == 3 * plan.rows, "factors, eigenvalues, features"
    assert kept == made


def test_what_is_lost_is_computed_again_to_the_same_bytes(
    planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, task = planned("whole")
    expected = run(plan, task)
    keep = KeptGradients.keep

    def every_other(self, member, rows, objective_N, matrices):
        if rows[0] % 2:
            keep(self, member, rows, objective_N, matrices)

    monkeypatch.setattr(KeptGradients, "keep", every_other)
    other, _ = planned("lost")
    assert run(other, task) == expected


def test_gradients_are_not_kept_where_a_fit_leaves_rows_out(planned: Planned, tmp_path: Path) -> None:
    plan, task = planned("all")
    chosen = plan.recipe.model_copy(
        update={"curvature": plan.recipe.curvature.model_copy(update={"sample": plan.rows - 1})}
    )
    settings = BuildSettings(recipe=chosen, index=IndexSection(path=tmp_path / "index"))
    assert not make_plan(settings, task, tmp_path / "some").keeps_gradients
