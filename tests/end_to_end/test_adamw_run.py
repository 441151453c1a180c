"""Indexes of a recorded AdamW run against the exact derivative of its result by every point's weight, over all steps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

import byline
from byline.api.example import Example
from byline.index.layout import StorageOptions
from byline.models.optimizer_state import adam_state
from byline.recipes import Recipe, recipe
from byline.recording import TrainingRecorder
from byline.task import Checkpoint, Task
from tests.reference.metagradient import AdamW, Run, Tensors, scores

ROWS, QUERIES, WIDTH, CLASSES, STEPS, BATCH = 100, 20, 8, 3, 120, 10
BETAS, DECAY = (0.9, 0.99), 0.1
SCALE = {"kind": "second_moment", "power": 0.25, "floor": 0.01}
WHOLE = {"projection": {"kind": "identity"}, "curvature": {"blocks": "joint"}}


def network() -> nn.Module:
    return nn.Sequential(
        nn.Linear(WIDTH, 16), nn.Tanh(), nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, CLASSES)
    )


def loss(model: nn.Module, batch: list[Tensor]) -> Tensor:
    return cross_entropy(model(batch[0]), batch[1], reduction="none")


class Case:
    """Inputs of very different scales, batches and rates: what SGD and AdamW take quite different steps on."""

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        centres = torch.randn(CLASSES, WIDTH, generator=generator)
        self.y = torch.randint(CLASSES, (ROWS + QUERIES,), generator=generator)
        noise = torch.randn(ROWS + QUERIES, WIDTH, generator=generator)
        self.x = (centres[self.y] + noise) * torch.logspace(0, -1.5, WIDTH)
        self.batches = [torch.randperm(ROWS, generator=generator)[:BATCH] for _ in range(STEPS)]
        self.rates = [3e-3 * (1 - 0.8 * step / STEPS) for step in range(STEPS)]
        torch.manual_seed(seed)
        self.model = network()
        for parameter in self.model.parameters():
            nn.init.normal_(parameter, std=0.4)

    def exact(self) -> np.ndarray:
        """Minus the metagradients in float64, [QUERIES, ROWS]."""

        def losses(parameters: Tensors, rows: Tensor) -> Tensor:
            return cross_entropy(
                functional_call(self.model, parameters, (self.x[rows].double(),)),
                self.y[rows],
                reduction="none",
            )

        run = Run(
            start={name: p.detach().double() for name, p in self.model.named_parameters()},
            losses=losses,
            batches=self.batches,
            optimizer=AdamW(self.rates, betas=BETAS, weight_decay=DECAY),
            points=ROWS,
        )
        return scores(run, lambda p: losses(p, torch.arange(ROWS, ROWS + QUERIES))).numpy()

    def found(self, folder: Path, chosen: Recipe) -> np.ndarray:
        """Train by torch's AdamW with a recorder, build, and score: [QUERIES, ROWS]."""
        model = network()
        model.load_state_dict(self.model.state_dict())
        task = Task(
            name="run",
            model=network,
            checkpoints=[Checkpoint(weights=self.model.state_dict())],
            train_set=[(self.x[row], int(self.y[row])) for row in range(ROWS)],
            describe=lambda row: Example(id=f"point-{row}"),
            loss=loss,
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=1.0, betas=BETAS, weight_decay=DECAY)
        with TrainingRecorder(task, chosen, model, folder / "steps") as recorder:
            for rows, rate in zip(self.batches, self.rates, strict=True):
                optimizer.param_groups[0]["lr"] = rate
                optimizer.zero_grad()
                loss(model, [self.x[rows], self.y[rows]]).mean().backward()
                recorder.step(rows, rate, optimizer if chosen.scale.uses_moments else None)
                optimizer.step()
        done = Checkpoint(
            weights=model.state_dict(),
            recording=folder / "steps",
            optimizer_state=adam_state(optimizer, model),
        )
        options = byline.BuildOptions(storage=StorageOptions(dtype="fp32"))
        index = byline.build(
            replace(task, checkpoints=[done]), chosen, folder / "index", options, progress=False
        )
        return index.item_scores([(self.x[row], int(self.y[row])) for row in range(ROWS, ROWS + QUERIES)])


def agreement(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.mean([spearmanr(a, b).statistic for a, b in zip(found, exact, strict=True)]))


@pytest.mark.parametrize("seed", [0, 2])
def test_scores_rank_as_the_exact_derivative_does(seed: int, tmp_path: Path) -> None:
    case = Case(seed)
    exact = case.exact()
    recipes = {
        "sgd": recipe("dvemb"),
        "sgd, whole": recipe("dvemb", **WHOLE),
        "rank one": recipe("dvemb", scale=SCALE),
        "entrywise": recipe("dvemb", scale={**SCALE, "factored": False}),
        "whole": recipe("dvemb", scale={**SCALE, "factored": False}, **WHOLE),
    }
    found = {name: agreement(case.found(tmp_path / name, chosen), exact) for name, chosen in recipes.items()}
    assert found["whole"] > max(0.88, found["sgd, whole"] + 0.1), found
    assert min(found["rank one"], found["entrywise"]) > max(0.8, found["sgd"] + 0.08), found
