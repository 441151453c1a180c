"""Byline's scores against the exact metagradient of small recorded runs: their sign, their order, and where they are equal.

`ekfac` knows the final weights alone, so order and signs agree in most cases and the numbers differ. `dvemb` knows the run.
Its only approximation is each batch's Fisher matrix in place of the Hessian, so it is equal where both are the same matrix:
for the points of the last step, which no Hessian follows, and in least squares with residuals of 1 or -1.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

import byline
from byline.api.example import Example
from byline.index.layout import StorageOptions
from byline.recording import TrainingRecorder
from byline.task import Checkpoint, Task
from tests.reference.metagradient import Run, Sgd, Tensors, final_parameters, left_out, scores
from tests.reference.models import Case
from tests.reference.runs import RUNS, Trained, network, transformer

DVEMB = byline.recipe("dvemb", projection={"kind": "identity"})
EKFAC = byline.recipe("ekfac", curvature={"labels": "given", "damping": 1.0})


def items_of(case: Case) -> list[Any]:
    if isinstance(case.batch, tuple):
        return list(zip(*case.batch, strict=True))
    return list(case.batch)


def task_of(trained: Trained) -> Task:
    """The Task of a run with its final weights."""
    whole = torch.ones(trained.run.points, dtype=torch.float64)
    final = {name: p.detach() for name, p in final_parameters(trained.run, whole).items()}
    return Task(
        name="run",
        model=network if isinstance(trained.case.model, nn.Sequential) else transformer,
        checkpoints=[Checkpoint(weights=final)],
        train_set=items_of(trained.case)[: trained.run.points],
        describe=lambda row: Example(id=str(row)),
        loss=trained.case.loss,
    )


def recorded(task: Task, run: Run, folder: Path) -> Task:
    """The Task with a recording of the run for `dvemb`: plain SGD with torch, as the reference has it."""
    model = task.model()
    model.load_state_dict(run.start)
    assert isinstance(run.optimizer, Sgd)
    with TrainingRecorder(task, DVEMB, model, folder) as recorder:
        for rows_B, rate in zip(run.batches, run.optimizer.rates, strict=True):
            model.zero_grad()
            points = [task.train_set[row] for row in rows_B.tolist()]
            task.loss(model, [torch.stack(part) for part in zip(*points, strict=True)]).mean().backward()
            recorder.step(rows_B, rate)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.sub_(rate * parameter.grad)
    return replace(task, checkpoints=[Checkpoint(weights=model.state_dict(), recording=folder)])


def byline_scores(task: Task, recipe: byline.Recipe, queries: list[Any], folder: Path) -> np.ndarray:
    options = byline.BuildOptions(storage=StorageOptions(dtype="fp32"))
    return byline.build(task, recipe, folder / "index", options, progress=False).item_scores(queries)


def agreement(found_QR: np.ndarray, exact_QR: np.ndarray) -> tuple[float, float]:
    """Share of equal signs among the stronger half of the points, and the mean rank correlation."""
    strong = np.abs(exact_QR) > np.median(np.abs(exact_QR))
    signs = (np.sign(found_QR) == np.sign(exact_QR))[strong].mean()
    return float(signs), float(
        np.mean([spearmanr(a, b).statistic for a, b in zip(found_QR, exact_QR, strict=True)])
    )


@pytest.mark.parametrize(
    ("name", "signs", "order"),
    [
        ("mlp-sgd", 0.85, 0.7),
        ("mlp-adamw", 0.8, 0.7),
        ("transformer-sgd", 0.7, 0.5),
        ("transformer-adamw", 0.75, 0.5),
    ],
)
def test_ekfac_on_final_weights_has_signs_and_order_of_the_metagradient(
    name: str, signs: float, order: float, tmp_path: Path
) -> None:
    trained = RUNS[name]()
    exact_QR = scores(trained.run, trained.query_losses).numpy()
    queries = items_of(trained.case)[trained.run.points :]
    same, correlation = agreement(byline_scores(task_of(trained), EKFAC, queries, tmp_path), exact_QR)
    assert same > signs
    assert correlation > order


def test_dvemb_knows_the_run_better_than_final_weights_do(tmp_path: Path) -> None:
    trained = RUNS["mlp-sgd"]()
    exact_QR = scores(trained.run, trained.query_losses).numpy()
    queries = items_of(trained.case)[trained.run.points :]
    task = task_of(trained)
    found_QR = byline_scores(recorded(task, trained.run, tmp_path / "steps"), DVEMB, queries, tmp_path)
    same, correlation = agreement(found_QR, exact_QR)
    last_QR = byline_scores(task, EKFAC, queries, tmp_path / "last")
    assert same > 0.9
    assert correlation > max(0.8, agreement(last_QR, exact_QR)[1])


def test_dvemb_is_exact_for_the_last_step(tmp_path: Path) -> None:
    trained = RUNS["mlp-sgd"]()
    last = torch.tensor([0, 1, 2])
    before = [rows[rows > 2] for rows in trained.run.batches[:-1]]
    batches = [*(rows for rows in before if len(rows)), last]
    run = replace(trained.run, batches=batches, optimizer=Sgd([0.2] * len(batches)))
    exact_QR = scores(run, trained.query_losses).numpy()
    queries = items_of(trained.case)[run.points :]
    task = recorded(task_of(trained), run, tmp_path / "steps")
    found_QR = byline_scores(task, DVEMB, queries, tmp_path)
    np.testing.assert_allclose(found_QR[:, :3], exact_QR[:, :3], rtol=1e-4, atol=1e-6)
    assert np.abs(found_QR[:, 3:] - exact_QR[:, 3:]).max() > 1e-4


def squared(model: nn.Module, batch: list[Tensor]) -> Tensor:
    return (model(batch[0])[:, 0] - batch[1]) ** 2 / 2


def linear() -> nn.Module:
    return nn.Linear(4, 1).double()


def unit_residuals(x_RD: Tensor, batches: list[Tensor], rates: list[float], start: Tensors) -> Tensor:
    """Targets such that one pass of SGD meets each point with a residual of 1 or -1, [R]."""
    weight, bias = start["weight"][0].clone(), start["bias"][0].clone()
    residuals_R = torch.where(torch.arange(len(x_RD)) % 3 == 0, -1.0, 1.0).double()
    y_R = torch.zeros(len(x_RD), dtype=torch.float64)
    for rows_B, rate in zip(batches, rates, strict=True):
        y_R[rows_B] = x_RD[rows_B] @ weight + bias - residuals_R[rows_B]
        weight -= rate * (residuals_R[rows_B] @ x_RD[rows_B]) / len(rows_B)
        bias -= rate * residuals_R[rows_B].mean()
    return y_R


@pytest.fixture
def least_squares() -> tuple[Task, Run, tuple[Tensor, Tensor]]:
    """One pass over 20 points in batches of 4, with residuals of 1 and -1: Fisher matrix and Hessian are equal."""
    generator = torch.Generator().manual_seed(3)
    x_RD = torch.randn(20, 4, generator=generator, dtype=torch.float64)
    batches, rates = list(torch.randperm(20, generator=generator).split(4)), [0.3, 0.25, 0.2, 0.15, 0.1]
    start = {name: p.detach().clone() for name, p in linear().named_parameters()}
    y_R = unit_residuals(x_RD, batches, rates, start)
    run = Run(
        start=start,
        losses=lambda p, rows: (x_RD[rows] @ p["weight"][0] + p["bias"] - y_R[rows]) ** 2 / 2,
        batches=batches,
        optimizer=Sgd(rates),
        points=20,
    )
    task = Task(
        name="least-squares",
        model=linear,
        checkpoints=[Checkpoint(weights=start)],
        train_set=list(zip(x_RD, y_R, strict=True)),
        describe=lambda row: Example(id=str(row)),
        loss=squared,
    )
    query = torch.randn(5, 4, generator=generator, dtype=torch.float64), torch.zeros(5, dtype=torch.float64)
    return task, run, query


def test_dvemb_is_the_metagradient_where_fisher_matrix_and_hessian_are_equal(
    least_squares: tuple[Task, Run, tuple[Tensor, Tensor]], tmp_path: Path
) -> None:
    task, run, (x, y) = least_squares
    exact_QR = scores(run, lambda p: (x @ p["weight"][0] + p["bias"] - y) ** 2 / 2).numpy()
    queries = list(zip(x, y, strict=True))
    found_QR = byline_scores(recorded(task, run, tmp_path / "steps"), DVEMB, queries, tmp_path)
    np.testing.assert_allclose(found_QR, exact_QR, rtol=1e-4, atol=1e-5 * np.abs(exact_QR).max())


def test_a_positive_score_is_a_loss_that_rises_without_the_point(
    least_squares: tuple[Task, Run, tuple[Tensor, Tensor]], tmp_path: Path
) -> None:
    """A scalar by hand: one parameter, one point, one step."""

    def one() -> nn.Module:
        return nn.Linear(1, 1, bias=False).double()

    x, y, rate = torch.ones(1, 1, dtype=torch.float64), torch.tensor([2.0], dtype=torch.float64), 0.5
    run = Run(
        start={"weight": torch.zeros(1, 1, dtype=torch.float64)},
        losses=lambda p, rows: (x[rows] @ p["weight"][0] - y[rows]) ** 2 / 2,
        batches=[torch.tensor([0])],
        optimizer=Sgd([rate]),
        points=1,
    )
    # From 0 the step goes to 1. The query (1, 2) has the loss 1/2 there and slope -1, and loss 2 without the point.
    queries = list(zip(x, y, strict=True))
    exact_QR = scores(run, lambda p: run.losses(p, torch.tensor([0])))
    assert exact_QR.item() == pytest.approx(1.0)
    assert left_out(run, lambda p: run.losses(p, torch.tensor([0])), [0]).item() == pytest.approx(1.5)
    task = replace(
        least_squares[0],
        name="one",
        model=one,
        checkpoints=[Checkpoint(weights=run.start)],
        train_set=queries,
    )
    found = byline_scores(recorded(task, run, tmp_path / "steps"), DVEMB, queries, tmp_path)
    assert found.item() == pytest.approx(1.0)
