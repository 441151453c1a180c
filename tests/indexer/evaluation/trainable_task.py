"""A Task that trains in milliseconds: logistic regression of 40 points by gradient descent.

Tests copy this file. Every training leaves a line in `trained.log` beside it. Without a bias, the item of zeros has the
same loss under every model.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from byline.api.example import Example
from byline.task import Checkpoint, Outputs, Task

ROWS = 40
NOISE = 0.05
BREAK_AFTER = 10**9
LOG = Path(__file__).with_name("trained.log")


def network() -> nn.Module:
    return nn.Linear(4, 3, bias=False)


def points(count: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.eye(3, 4)
    labels = torch.arange(count) % 3
    return centres[labels] + 0.7 * torch.randn(count, 4, generator=generator), labels


def fit(x: Tensor, y: Tensor, seed: int) -> dict[str, Tensor]:
    model = network()
    generator = torch.Generator().manual_seed(seed)
    model.weight.data = NOISE * torch.randn(model.weight.shape, generator=generator)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, weight_decay=0.05)
    with torch.enable_grad():
        for _ in range(60):
            optimizer.zero_grad()
            cross_entropy(model(x), y).backward()
            optimizer.step()
    return {name: value.detach() for name, value in model.state_dict().items()}


def loss(model: nn.Module, batch: list[Tensor]) -> Tensor:
    return cross_entropy(model(batch[0]), batch[1], reduction="none")


def margin(model: nn.Module, batch: list[Tensor]) -> Tensor:
    p = (-loss(model, batch)).exp()
    return p.log() - (-p).log1p()


def described(item: tuple[Tensor, int]) -> str:
    """Words that tell the label and the coordinates' signs."""
    signs = " ".join(
        f"{'more' if value > 0 else 'less'}{place}" for place, value in enumerate(item[0].tolist())
    )
    return f"label{item[1]} {signs}"


def declared(x: Tensor, y: Tensor) -> Task:
    def train(rows: Sequence[int], seed: int) -> dict[str, Tensor]:
        with LOG.open("a") as log:
            log.write(f"{len(rows)} {seed}\n")
        if len(LOG.read_text().splitlines()) > BREAK_AFTER:
            os._exit(9)
        chosen = torch.tensor(list(rows))
        return fit(x[chosen], y[chosen], seed)

    query_x, query_y = points(12, seed=1)
    query_x[5] = 0.0
    return Task(
        name="trainable",
        model=network,
        checkpoints=[Checkpoint(weights=fit(x, y, seed=0))],
        train_set=[(x[row], int(y[row])) for row in range(len(x))],
        describe=lambda row: Example(id=f"point-{row}", label=str(int(y[row])), owner=f"owner-{row // 2}"),
        loss=loss,
        targets={"margin": margin},
        outputs=Outputs(
            compute=lambda model, batch: model(batch[0]),
            loss=lambda logits, batch: cross_entropy(logits, batch[1], reduction="none"),
            relabel=lambda batch, labels: [batch[0], labels],
        ),
        representation=lambda model, batch: batch[0],
        text=described,
        train=train,
        evaluation_set=[(query_x[i], int(query_y[i])) for i in range(len(query_x))],
    )


def task() -> Task:
    x, y = points(ROWS, seed=0)

    def mislabeled(rows: Sequence[int], seed: int) -> Task:
        generator = torch.Generator().manual_seed(seed)
        wrong = y.clone()
        for row in rows:
            wrong[row] = (y[row] + torch.randint(1, 3, (), generator=generator)) % 3
        return declared(x, wrong)

    return replace(declared(x, y), mislabeled=mislabeled)
