"""A Task of 90 points and two checkpoints that trains nothing: builds of it take a second.

Tests copy this file and change a constant in the copy, as a user would.
"""

from dataclasses import replace

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from byline.api.example import Example
from byline.task import Checkpoint, Outputs, ParsedQuery, Prediction, QueryInterface, Task

ROWS = 90
CHECKPOINTS = 2
WEIGHT_SHIFT = 0.0
DATA_SHIFT = 0.0
LICENSE = "MIT"
REPEATED_ID: str | None = None
BAD_ROW: int | None = None


class Payload(BaseModel):
    """Six numbers, and the label where it is known."""

    model_config = ConfigDict(extra="forbid", strict=True)

    x: list[float] = Field(min_length=6, max_length=6)
    label: int | None = Field(default=None, ge=0, le=2)


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.25), nn.Linear(8, 3))


def weights(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"0.weight": (8, 6), "0.bias": (8,), "3.weight": (3, 8), "3.bias": (3,)}
    made = {name: torch.randn(shape, generator=generator) * 0.5 for name, shape in shapes.items()}
    made["3.bias"][0] += WEIGHT_SHIFT
    return made


def per_example_loss(model: nn.Module, batch: list[Tensor]) -> Tensor:
    return cross_entropy(model(batch[0]), batch[1], reduction="none")


def margin(model: nn.Module, batch: list[Tensor]) -> Tensor:
    p = (-per_example_loss(model, batch)).exp().clamp(1e-6, 1 - 1e-6)
    return p.log() - (-p).log1p()


def logit(model: nn.Module, batch: list[Tensor]) -> Tensor:
    return model(batch[0]).gather(1, batch[1][:, None])[:, 0]


def parse(payload: Payload) -> ParsedQuery:
    label = 0 if payload.label is None else payload.label
    return ParsedQuery(item=(torch.tensor(payload.x), label), complete=payload.label is not None)


def predict(model: nn.Module, item: tuple[Tensor, int]) -> Prediction:
    with torch.no_grad():
        label = int(model(item[0][None]).argmax())
    return Prediction(item=(item[0], label), output={"label": str(label)})


def task() -> Task:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(ROWS, 6, generator=generator)
    inputs[7, 0] += DATA_SHIFT
    if BAD_ROW is not None:
        inputs[BAD_ROW] = float("nan")
    labels = torch.randint(3, (ROWS,), generator=generator)

    def describe(row: int) -> Example:
        return Example(
            id=REPEATED_ID if REPEATED_ID and row in {3, 70} else f"point-{row}",
            owner=f"owner-{row % 4}",
            license=LICENSE,
            label=str(int(labels[row])),
            preview=f"point number {row}",
        )

    return Task(
        name="tiny",
        model=network,
        checkpoints=[
            Checkpoint(weights=weights(seed), learning_rate=0.1 / (seed + 1)) for seed in range(CHECKPOINTS)
        ],
        train_set=[(inputs[row], int(labels[row])) for row in range(ROWS)],
        describe=describe,
        loss=per_example_loss,
        targets={"margin": margin, "logit": logit},
        outputs=Outputs(
            compute=lambda model, batch: model(batch[0]),
            loss=lambda logits, batch: cross_entropy(logits, batch[1], reduction="none"),
            relabel=lambda batch, labels: [batch[0], labels],
        ),
        query=QueryInterface(payload=Payload, parse=parse, predict=predict),
        representation=lambda model, batch: model[:2](batch[0]),
        text=lambda item: " ".join(
            f"{'less' if value < 0 else 'more'}{n}" for n, value in enumerate(item[0])
        ),
        label=lambda item: str(item[1]),
        image=lambda item: item[0].view(2, 3),
    )


def squared_task() -> Task:
    """The same with the target of D-TRAK: the mean square of the prediction."""
    made = task()
    return replace(made, targets={"square": lambda model, batch: model(batch[0]).square().mean(dim=1)})


def moments(seed: int) -> dict[str, Tensor]:
    """What an Adam would have left behind; a parameter in ten has hardly ever had a gradient."""
    generator = torch.Generator().manual_seed(100 + seed)
    made = {}
    for name, parameter in weights(seed).items():
        made[f"exp_avg/{name}"] = torch.randn(parameter.shape, generator=generator) * 0.01
        seldom = torch.rand(parameter.shape, generator=generator) < 0.1
        spread = torch.rand(parameter.shape, generator=generator) + 0.1
        made[f"exp_avg_sq/{name}"] = (spread * 0.1).square() * torch.where(seldom, 1e-3, 1.0)
    return made


def trained_task() -> Task:
    """The same with Adam's moments and items that the model was not trained on."""
    made = task()
    checkpoints = [
        replace(checkpoint, optimizer_state=moments(seed), steps=400 * (seed + 1))
        for seed, checkpoint in enumerate(made.checkpoints)
    ]
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(20, 6, generator=generator) * 0.7
    labels = torch.randint(3, (20,), generator=generator)
    return replace(
        made,
        checkpoints=checkpoints,
        evaluation_set=[(x, int(y)) for x, y in zip(inputs, labels, strict=True)],
    )
