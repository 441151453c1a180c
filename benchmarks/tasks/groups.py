"""The two problems of the group benchmark: Fashion-MNIST's images and Adult's table, each with one trained network."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.tasks import CACHE
from benchmarks.tasks import adult as adult_task
from benchmarks.tasks import fashion as fashion_task
from benchmarks.tasks.networks import Data, Protocol, digits, forward, state_dicts, train_many
from byline.api.example import Example
from byline.task import Checkpoint, Task
from byline.tasks import TrainedModel, TrainingData, vector_classification

TOGETHER = 10
"""Networks trained as one: what fits a processor's cache."""
FULL_SEED = 77
IGNORED = -100
"""Label that cross-entropy ignores."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A data set, a network and how it is trained."""

    name: str
    widths: tuple[int, ...]
    protocol: Protocol
    load: Callable[[], Data] = field(repr=False)
    held_out: int
    """Points that the removal curves' loss is taken on: those after the queries."""

    @property
    def folder(self) -> Path:
        """Where its weights, indexes and truths are kept."""
        return CACHE / f"groups-{self.name}"

    @property
    def reference(self) -> str:
        """The Task, as a build file names it."""
        return f"benchmarks.tasks.groups:{self.name}"

    @property
    def data(self) -> Data:
        """Training points, and queries followed by the held-out points."""
        return _loaded(self.name)

    def network(self) -> nn.Module:
        """Linear layers with ReLU and dropout between them."""
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(self.widths):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU(), nn.Dropout(self.protocol.dropout)]
        return nn.Sequential(*layers[:-2])

    @property
    def filled(self) -> Data:
        """The data with one more training point, the last row, whose loss is zero: what uneven lists are filled with."""
        data = self.data
        x = torch.cat([data.x, torch.zeros_like(data.x[:1])])
        return replace(data, x=x, y=torch.cat([data.y, torch.full_like(data.y[:1], IGNORED)]))

    def trained(self, rows: list[Tensor], seed: int) -> list[Tensor]:
        """Retrain on some rows each; all lists must have the same length.

        Returns:
            Loss of every query and held-out point under each network: [models, points].
        """
        losses: list[Tensor] = []
        data = self.filled
        for start in range(0, len(rows), TOGETHER):
            part = torch.stack(rows[start : start + TOGETHER])
            parameters = train_many(data, part, self.protocol, seed * 1000 + start, self.widths)
            losses += list(self._losses(parameters, len(part)))
        return losses

    def _losses(self, parameters: list[Tensor], models: int) -> Tensor:
        with torch.no_grad():
            logits = forward(parameters, self.data.query_x.expand(models, -1, -1)).flatten(0, 1)
        labels = self.data.query_y.repeat(models)
        return F.cross_entropy(logits, labels, reduction="none").reshape(models, -1)

    def task(self) -> Task:
        """The Task over the network that was trained on everything; trains it if it is not there."""
        weights = self.folder / "full.safetensors"
        if not weights.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            rows = torch.arange(self.protocol.train)[None]
            trained = train_many(self.data, rows, self.protocol, FULL_SEED, self.widths)
            save_file(state_dicts(trained)[0], weights)
        examples = [Example(id=f"point-{row}", label=str(y)) for row, y in enumerate(self.data.y.tolist())]
        made = vector_classification(
            TrainedModel(
                name=self.name,
                model=self.network,
                checkpoints=[Checkpoint(weights=weights, learning_rate=self.protocol.learning_rate)],
                data=TrainingData.from_arrays(self.data.x, self.data.y, examples),
            ),
            classes=[str(label) for label in range(self.widths[-1])],
        )
        return replace(made, representation=_last_hidden)


def _last_hidden(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """What the last layer reads."""
    assert isinstance(model, nn.Sequential)
    hidden: Tensor = model[:-1](batch[0])
    return hidden


def _fashion() -> Data:
    x, y = fashion_task._images("train")
    query_x, query_y = fashion_task._images("t10k")
    return Data(x[:4096], y[:4096], query_x[:1100], query_y[:1100])


PROBLEMS = {
    each.name: each
    for each in (
        Problem(
            name="image",
            widths=(784, 128, 64, 10),
            protocol=Protocol(train=4096, queries=100, epochs=12, learning_rate=0.05),
            load=_fashion,
            held_out=1000,
        ),
        Problem(
            name="tabular",
            widths=(89, 64, 32, 2),
            protocol=Protocol(train=8192, queries=100, epochs=12, learning_rate=0.05),
            load=lambda: adult_task.data(8192, 1100),
            held_out=1000,
        ),
        Problem(
            name="smoke",
            widths=(64, 128, 64, 10),
            protocol=Protocol(train=128, queries=8, tuning=40, epochs=3),
            load=lambda: digits(Protocol(train=128, queries=8, tuning=40)),
            held_out=40,
        ),
    )
}


@cache
def _loaded(name: str) -> Data:
    return PROBLEMS[name].load()


def image() -> Task:
    """4,096 images of clothes."""
    return PROBLEMS["image"].task()


def tabular() -> Task:
    """8,192 people of a census."""
    return PROBLEMS["tabular"].task()


def smoke() -> Task:
    """A tiny problem that needs no download."""
    return PROBLEMS["smoke"].task()
