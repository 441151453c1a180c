"""Two problems for groups of training points: Fashion-MNIST's images and Adult's table, each with one network.

Letters: R training points, J groups, S subsets of the groups, T seeds.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmarks.tasks import CACHE, adult, fashion
from benchmarks.tasks.digits import digits
from benchmarks.tasks.networks import Data, Protocol, query_losses, state_dicts, train_many
from benchmarks.tasks.truth import Retraining, keep_truth
from byline.api.example import Example
from byline.groups import GroupPartition
from byline.task import Checkpoint, Task
from byline.tasks import TrainedModel, TrainingData, vector_classification
from byline_indexer.evaluation.truth import points_of

TOGETHER = 10
"""Networks that are trained as one: as many as fit in a processor's cache."""
FULL_SEED = 77
IGNORED = -100
"""Label that cross-entropy ignores."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A data set, a network and its training."""

    name: str
    widths: tuple[int, ...]
    protocol: Protocol
    load: Callable[[], Data] = field(repr=False)
    held_out: int
    """Number of points for the loss of the removal curves: those after the queries."""

    @property
    def folder(self) -> Path:
        """The folder of weights, indexes and truths."""
        return CACHE / f"groups-{self.name}"

    @property
    def reference(self) -> str:
        """The Task, as a build file names it."""
        return f"{__name__}:{self.name}"

    @property
    def data(self) -> Data:
        """Training points, and the queries followed by the held-out points."""
        return _loaded(self.name)

    def network(self) -> nn.Module:
        """Build linear layers with ReLU and dropout between them."""
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(self.widths):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU(), nn.Dropout(self.protocol.dropout)]
        return nn.Sequential(*layers[:-2])

    def truth(self, groups: GroupPartition, count: int, seeds: int) -> Path:
        """Retrain on random halves of the points, whole groups at a time; finished files stay.

        Args:
            groups: The groups.
            count: S, subsets.
            seeds: T, networks for each subset.

        Returns:
            A file that `byline evaluate --truth` reads, about the queries.
        """
        rng = np.random.default_rng(1)
        subsets_SJ = np.stack([_half(groups, rng) for _ in range(count)])
        rows = [groups.points(np.flatnonzero(subset)) for subset in subsets_SJ]

        def train(_: range, seed: int) -> np.ndarray:
            return -self.losses(rows, 1 + seed)[:, : self.protocol.queries]

        subsets_SR = points_of(subsets_SJ, groups)
        key = hashlib.sha256(subsets_SR.tobytes() + repr((self.protocol, self.widths, seeds)).encode())
        path = self.folder / f"truth-{key.hexdigest()[:12]}.npz"
        keep_truth(
            Retraining(subsets_SR=subsets_SR, seeds=seeds, together=count, train=train), {path: slice(None)}
        )
        return path

    def losses(self, rows: Sequence[np.ndarray], seed: int) -> np.ndarray:
        """Retrain on some lists of rows.

        Shorter lists are filled up with a point of zero loss, so that all networks take equally many steps.

        Args:
            rows: The training points of each network.
            seed: Seed of the training.

        Returns:
            Loss of every query and held-out point under each network: [lists, points].
        """
        longest = max(map(len, rows))
        filled = [np.concatenate([each, np.full(longest - len(each), self.protocol.train)]) for each in rows]
        lists = torch.from_numpy(np.stack(filled).astype(np.int64))
        losses = []
        for number, part in enumerate(lists.split(TOGETHER)):
            start = seed * 1000 + number * TOGETHER
            parameters = train_many(self._filled, part, self.protocol, start, self.widths)
            losses.append(query_losses(parameters, self.data))
        found: np.ndarray = torch.cat(losses).numpy()
        return found

    @property
    def _filled(self) -> Data:
        """The data with one more training point, the last row, whose loss is zero."""
        data = self.data
        x = torch.cat([data.x, torch.zeros_like(data.x[:1])])
        return replace(data, x=x, y=torch.cat([data.y, torch.full_like(data.y[:1], IGNORED)]))

    def task(self) -> Task:
        """Declare the Task over the network of the whole training set, which is trained where it is missing."""
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
        queries = self.data.queries[: self.protocol.queries]
        return replace(made, representation=_last_hidden, evaluation_set=queries)


def _last_hidden(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """Compute the input of the last layer."""
    assert isinstance(model, nn.Sequential)
    hidden: Tensor = model[:-1](batch[0])
    return hidden


def _half(groups: GroupPartition, rng: np.random.Generator) -> np.ndarray:
    """Take groups in a random order until they hold half of the points, the last one only if that comes nearer."""
    order = rng.permutation(len(groups))
    reached = np.cumsum(groups.sizes[order])
    half = reached[-1] / 2
    number = int(np.searchsorted(reached, half)) + 1
    before = reached[number - 2] if number > 1 else 0
    if half - before < reached[number - 1] - half:
        number -= 1
    chosen = np.zeros(len(groups), dtype=bool)
    chosen[order[: max(1, number)]] = True
    return chosen


def _fashion() -> Data:
    x, y = fashion.images("train")
    query_x, query_y = fashion.images("t10k")
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
            load=lambda: adult.data(8192, 1100),
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
    """Declare 4,096 images of clothes."""
    return PROBLEMS["image"].task()


def tabular() -> Task:
    """Declare 8,192 people of a census."""
    return PROBLEMS["tabular"].task()


def smoke() -> Task:
    """Declare a tiny problem that needs no download."""
    return PROBLEMS["smoke"].task()
