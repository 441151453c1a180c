"""Lanczos steps as units of a build: resumed and shared like any other, refused where they find nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch

from byline.curvature.arnoldi import Arnoldi, LanczosStatistic
from byline.errors import BuildFailed, InvalidRecipe
from byline.index.index import AttributionIndex
from byline.projection.ritz import VECTORS
from byline.types import State
from byline_indexer.build.build import build
from byline_indexer.build.estimate import estimate
from byline_indexer.config import BuildConfig
from byline_indexer.units.unit import Unit
from byline_indexer.units.worker import Worker
from byline_indexer.units.workspace import Receipt
from tests.indexer import tiny_task

STEPS = 12


def config(folder: Path, steps: int = STEPS, **options: object) -> BuildConfig:
    return BuildConfig.model_validate(
        {
            "task": f"{Path(tiny_task.__file__)}:task",
            "recipe": {
                "name": "arnoldi",
                "projection": {"size": 6},
                "curvature": {"steps": steps},
                "members": {"checkpoints": [0]},
            },
            "index": {"path": folder},
            "build": {"block_rows": 32, "batch_rows": 16, **options},
        }
    )


def files(version: Path) -> dict[str, bytes]:
    return {str(p.relative_to(version)): p.read_bytes() for p in version.rglob("*") if p.is_file()}


def test_a_build_that_stops_between_steps_goes_on_and_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = build(config(tmp_path / "whole")).path
    performed: list[Unit] = []
    perform = Worker.perform

    def some(self: Worker, unit: Unit) -> Receipt:
        performed.append(unit)
        if len(performed) == 25:
            raise BuildFailed("stopped")
        return perform(self, unit)

    monkeypatch.setattr(Worker, "perform", some)
    with pytest.raises(BuildFailed, match="stopped"):
        build(config(tmp_path / "parts"))
    again = len(performed)
    parts = build(config(tmp_path / "parts")).path
    repeated = set(performed[:again]) & set(performed[again:])
    assert repeated == {performed[24]}, "only the unit that failed is done twice"
    assert files(parts) == files(whole)


@pytest.mark.slow
def test_several_workers_make_the_same_index(tmp_path: Path) -> None:
    one = build(config(tmp_path / "a", 3)).path
    two = build(config(tmp_path / "b", 3, workers=2)).path
    assert files(one) == files(two)


def test_an_index_keeps_the_ritz_vectors_and_no_step(tmp_path: Path) -> None:
    index = AttributionIndex.open(build(config(tmp_path / "index")).path)
    state = index.states("c0")
    assert set(state) == {"ritz.values", "ritz.vectors"}
    vectors_KP = state[VECTORS].double()
    torch.testing.assert_close(
        vectors_KP @ vectors_KP.T, torch.eye(len(vectors_KP), dtype=torch.float64), atol=1e-5, rtol=0
    )
    assert index.manifest.build["fit_rows"] == {"lanczos": 90}
    assert (np.diff(state["ritz.values"].numpy()) <= 0).all()


def test_an_estimate_tells_the_steps_as_one_pass(tmp_path: Path) -> None:
    found = estimate(config(tmp_path / "index"))
    (steps,) = [each for each in found.passes if each.name == "measure lanczos"]
    assert steps.rows == 90 * STEPS
    assert found.temporary > 83 * 4 * STEPS


class Fixed:
    """The products of a written-out matrix, as if of one example."""

    def __init__(self, matrix: torch.Tensor) -> None:
        self._matrix = matrix

    def __len__(self) -> int:
        return 1

    def __call__(self, vectors_VP: torch.Tensor, matrix: str) -> torch.Tensor:
        return vectors_VP @ self._matrix


def fitted(matrix: torch.Tensor, steps: int, size: int) -> State:
    options, width = Arnoldi(steps=steps), len(matrix)
    state: State = {}
    for step in range(steps):
        statistic = LanczosStatistic(options, width, step, size if step == steps - 1 else None)
        state |= statistic.finish(statistic.measure(Fixed(matrix), state), 1, state)
    return state


def test_steps_find_the_largest_eigenpairs() -> None:
    values = torch.cat([torch.tensor([90.0, 40.0, 9.0, -60.0]), torch.linspace(-1, 1, 36)]).double()
    vectors, _ = torch.linalg.qr(torch.randn(40, 40, generator=torch.Generator().manual_seed(0)).double())
    state = fitted(vectors @ torch.diag(values) @ vectors.T, 30, 3)
    torch.testing.assert_close(state["ritz.values"], values[:3], rtol=1e-5, atol=0)
    aligned = (state[VECTORS].double() @ vectors[:, :3]).abs()
    torch.testing.assert_close(aligned, torch.eye(3, dtype=torch.float64), atol=1e-3, rtol=0)


def test_repeated_eigenvalues_do_not_stop_the_steps() -> None:
    state = fitted(torch.diag(torch.tensor([3.0] * 6 + [0.0] * 6, dtype=torch.float64)), 12, 12)
    torch.testing.assert_close(
        state["ritz.values"], torch.full((6,), 3.0, dtype=torch.float64), rtol=1e-5, atol=0
    )


def test_a_matrix_without_positive_eigenvalues_is_refused() -> None:
    with pytest.raises(InvalidRecipe, match="positive eigenvalue"):
        fitted(-torch.eye(5, dtype=torch.float64), 5, 5)
