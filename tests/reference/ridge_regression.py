"""Linear regression with a ridge, solved exactly: leave-one-out has a closed truth.

Objective (1/n) sum_i (x_i w - y_i)^2 + (ridge/2) |w|^2; removing a point leaves 1/n and the ridge as they are.
"""

import functools

import numpy as np
import torch
from torch import Tensor, nn

from byline.task import Checkpoint, Task
from byline.tasks import TrainedModel, TrainingData, vector_regression

ROWS, WIDTH, RIDGE = 40, 5, 0.1


@functools.cache
def _data() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, WIDTH, generator=generator)
    y = x @ torch.randn(WIDTH, generator=generator) + 0.5 * torch.randn(ROWS, generator=generator)
    return x, y, torch.randn(6, WIDTH, generator=generator)


def queries() -> Tensor:
    return _data()[2]


def _solved(keep: np.ndarray) -> np.ndarray:
    x, y, _ = (each.double().numpy() for each in _data())
    hessian = 2 / ROWS * x[keep].T @ x[keep] + RIDGE * np.eye(WIDTH)
    return np.linalg.solve(hessian, 2 / ROWS * x[keep].T @ y[keep])


def leave_one_out() -> np.ndarray:
    """What training on each point adds to each query's prediction: [Q, R]."""
    whole = _solved(np.ones(ROWS, dtype=bool))
    without = [_solved(np.arange(ROWS) != row) for row in range(ROWS)]
    return queries().double().numpy() @ (whole[:, None] - np.stack(without, axis=1))


def relative_damping() -> float:
    """The ridge in units of the mean eigenvalue of the loss's own Hessian."""
    x = _data()[0].double().numpy()
    return float(RIDGE / (2 / ROWS * np.trace(x.T @ x) / WIDTH))


def task() -> Task:
    """Declare it."""
    x, y, _ = _data()
    weight = torch.from_numpy(_solved(np.ones(ROWS, dtype=bool))).float()[None]
    return vector_regression(
        TrainedModel(
            name="ridge-regression",
            model=lambda: nn.Linear(WIDTH, 1, bias=False),
            checkpoints=[Checkpoint(weights={"weight": weight})],
            data=TrainingData.from_arrays(x, y),
        )
    )
