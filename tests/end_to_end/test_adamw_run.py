"""A recorded AdamW run against the exact derivative of its result by every point's weight, through all its steps."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from byline.api.example import Example
from byline.curvature.trajectory import RecordedSteps, trace_span
from byline.features.featurizer import MemberFeaturizer, Side
from byline.index.recordings import open_recording
from byline.models.member import MemberModel
from byline.models.optimizer_state import adam_state
from byline.recipes import Recipe, recipe
from byline.recording import TrainingRecorder
from byline.scale.moments import block_moments
from byline.task import Checkpoint, Task

ROWS, WIDTH, CLASSES, STEPS, BATCH = 100, 8, 3, 120, 10
BETAS, DECAY = (0.9, 0.99), 0.1
SCALE = {"kind": "second_moment", "power": 0.25, "floor": 0.01}


def network() -> nn.Module:
    return nn.Sequential(
        nn.Linear(WIDTH, 16), nn.Tanh(), nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, CLASSES)
    )


def loss(model: nn.Module, batch: list[Tensor]) -> Tensor:
    return cross_entropy(model(batch[0]), batch[1], reduction="none")


class Run:
    """Inputs of very different scales, batches and rates: what SGD and AdamW take quite different steps on."""

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        spread = torch.logspace(0, -1.5, WIDTH)
        centres = torch.randn(CLASSES, WIDTH, generator=generator)
        self.y = torch.randint(CLASSES, (ROWS + 20,), generator=generator)
        noise = torch.randn(ROWS + 20, WIDTH, generator=generator)
        self.x = (centres[self.y] + noise) * spread
        self.batches = [torch.randperm(ROWS, generator=generator)[:BATCH] for _ in range(STEPS)]
        self.rates = [3e-3 * (1 - 0.8 * step / STEPS) for step in range(STEPS)]
        torch.manual_seed(seed)
        self.model = network()
        for parameter in self.model.parameters():
            nn.init.normal_(parameter, std=0.4)

    def truth(self) -> np.ndarray:
        """Minus the derivative of each query's final loss by each point's weight, in float64 [20, ROWS]."""
        names = [name for name, _ in self.model.named_parameters()]
        shapes = [parameter.shape for parameter in self.model.parameters()]
        theta = torch.cat([p.detach().double().flatten() for p in self.model.parameters()])
        sizes = [shape.numel() for shape in shapes]

        def losses(vector: Tensor, rows: Tensor) -> Tensor:
            parts = zip(names, vector.split(sizes), shapes, strict=True)
            own = {name: part.view(shape) for name, part, shape in parts}
            outputs = functional_call(self.model, own, (self.x[rows].double(),))
            return cross_entropy(outputs, self.y[rows], reduction="none")

        weights = torch.ones(ROWS, dtype=torch.float64, requires_grad=True)
        first, second = torch.zeros_like(theta), torch.zeros_like(theta)
        theta = theta + 0 * weights.sum()
        for step, (rows, rate) in enumerate(zip(self.batches, self.rates, strict=True), start=1):
            mean = (losses(theta, rows) * weights[rows]).mean()
            (grad,) = torch.autograd.grad(mean, theta, create_graph=True)
            first = BETAS[0] * first + (1 - BETAS[0]) * grad
            second = BETAS[1] * second + (1 - BETAS[1]) * grad**2
            root = (second / (1 - BETAS[1] ** step) + 1e-30).sqrt() + 1e-8
            theta = (1 - rate * DECAY) * theta - rate * first / (1 - BETAS[0] ** step) / root
        queries = losses(theta, torch.arange(ROWS, ROWS + 20))
        rows = [-torch.autograd.grad(query, weights, retain_graph=True)[0] for query in queries]
        return torch.stack(rows).numpy()

    def task(self) -> Task:
        return Task(
            name="run",
            model=network,
            checkpoints=[Checkpoint(weights=self.model.state_dict())],
            train_set=[(self.x[row], int(self.y[row])) for row in range(ROWS)],
            describe=lambda row: Example(id=f"point-{row}"),
            loss=loss,
        )

    def scores(self, folder: Path, chosen: Recipe) -> np.ndarray:
        """Train by torch's AdamW with a recorder, and score the recording: [20, ROWS]."""
        model = network()
        model.load_state_dict(self.model.state_dict())
        optimizer = torch.optim.AdamW(model.parameters(), lr=1.0, betas=BETAS, weight_decay=DECAY)
        task, adamw = self.task(), chosen.scale.uses_moments
        with TrainingRecorder(task, chosen, model, folder) as recorder:
            for rows, rate in zip(self.batches, self.rates, strict=True):
                optimizer.param_groups[0]["lr"] = rate
                optimizer.zero_grad()
                loss(model, [self.x[rows], self.y[rows]]).mean().backward()
                recorder.step(rows, rate, *([optimizer] if adamw else []))
                optimizer.step()
        recording = open_recording(folder)
        (span,) = (recording.read(number) for number in range(len(recording.spans)))
        member = MemberModel.load(
            Task(**{**vars(task), "checkpoints": [Checkpoint(weights=model.state_dict())]}),
            chosen,
            chosen.members.members(1)[0],
        )
        state = {}
        for statistic in chosen.scale.statistics(
            member.blocks, block_moments(member.blocks, adam_state(optimizer, model))
        ):
            state |= statistic.finish({}, 0, state)
        featurizer = MemberFeaturizer(chosen, member.blocks, state)
        items = [(self.x[row], int(self.y[row])) for row in range(ROWS, ROWS + 20)]
        query = featurizer.project(member.gradients(items), Side.QUERY).double()
        return (query @ self.traced(span, chosen, featurizer).T).numpy()

    def traced(self, span: RecordedSteps, chosen: Recipe, featurizer: MemberFeaturizer) -> Tensor:
        widths = chosen.curvature.cut(featurizer._projector.widths)
        carries = [torch.eye(width, dtype=torch.float64) for width in widths]
        sums = torch.zeros(ROWS, sum(widths), dtype=torch.float64)
        return sums.index_add_(0, span.rows_N, trace_span(span, carries).double())


def agreement(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean([spearmanr(a, b).statistic for a, b in zip(found, truth, strict=True)]))


WHOLE = {"projection": {"kind": "identity"}, "curvature": {"blocks": "joint"}}


@pytest.mark.parametrize("seed", [0, 2])
def test_scores_rank_as_the_exact_derivative_does(seed: int, tmp_path: Path) -> None:
    run = Run(seed)
    truth = run.truth()
    recipes = {
        "sgd": recipe("dvemb"),
        "sgd, whole": recipe("dvemb", **WHOLE),
        "rank one": recipe("dvemb", scale=SCALE),
        "entrywise": recipe("dvemb", scale={**SCALE, "factored": False}),
        "whole": recipe("dvemb", scale={**SCALE, "factored": False}, **WHOLE),
    }
    found = {name: agreement(run.scores(tmp_path / name, chosen), truth) for name, chosen in recipes.items()}
    assert found["whole"] > max(0.88, found["sgd, whole"] + 0.1), found
    assert min(found["rank one"], found["entrywise"]) > max(0.8, found["sgd"] + 0.08), found
