"""Putting a random model together, and drawing its data."""

import random
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from tests.byline.gradients.exactness import Subject
from tests.byline.gradients.random_models import influencing, mixing, pointwise, routing
from tests.byline.gradients.random_models.part import Part
from tests.byline.gradients.random_models.view import LAYOUTS, Layout, View, lengths_mask

CLASSES = 3
INFLUENCED = 0.06
"""The share of models whose examples influence one another."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a seed decided, but for the weights."""

    seed: int
    layout: Layout
    tokens: bool
    width: int
    lengths: tuple[int, ...]
    """Of the items; all 1 for vectors."""
    parts: tuple[type[Part], ...]
    order: tuple[int, ...]
    """Which part each step takes: some are taken twice."""
    residual: tuple[bool, ...]
    tied: bool
    frozen: float
    """The share of parameters that are frozen."""
    loss: str

    def __str__(self) -> str:
        steps = " ".join(
            ("+" if r else "") + self.parts[p].__name__
            for p, r in zip(self.order, self.residual, strict=True)
        )
        lengths = "/".join(map(str, self.lengths))
        words = f"{'tokens' if self.tokens else 'numbers'}, D {self.width}, lengths {lengths}"
        return f"seed {self.seed}: {self.layout}, {words}; {steps}; loss {self.loss}, frozen {self.frozen}, tied {self.tied}"


def plan(seed: int) -> Plan:
    """Decide everything about a model."""
    choose = random.Random(seed)
    layout, width, count = choose.choice(LAYOUTS), choose.choice([4, 6]), choose.randint(6, 9)
    kinds = [pointwise.PARTS, pointwise.PARTS, routing.PARTS]
    if layout != "vectors":
        kinds += [mixing.PARTS, mixing.PARTS]
    parts = [choose.choice(choose.choice(kinds)) for _ in range(choose.randint(1, 3))]
    if choose.random() < INFLUENCED:
        parts.append(influencing.Influence)
    order = list(range(len(parts))) + [choose.randrange(len(parts)) for _ in range(choose.randint(0, 1))]
    choose.shuffle(order)
    return Plan(
        seed=seed,
        layout=layout,
        tokens=layout != "vectors" and choose.random() < 0.3,
        width=width,
        lengths=_lengths(choose, layout, width, count),
        parts=tuple(parts),
        order=tuple(order),
        residual=tuple(choose.random() < 0.5 for _ in order),
        tied=choose.random() < 0.25,
        frozen=choose.choice([0, 0, 0, 0.3, 0.6]),
        loss=choose.choice(
            ["classes", "classes", "positions", "square", "penalty", "temperature", "weighted"]
        ),
    )


def _lengths(choose: random.Random, layout: Layout, width: int, count: int) -> tuple[int, ...]:
    """As many positions as items or features, or one, or different for each item."""
    if layout == "vectors":
        return (1,) * count
    if layout == "packed" or (layout in {"first", "second"} and choose.random() < 0.5):
        steps = choose.choice([1, 1, 2])  # even lengths: their sum is a multiple of most things
        return tuple(steps * choose.randint(1, 8 // steps) for _ in range(count))
    return (choose.choice([1, count, width, 3, 5]),) * count


class RandomModel(nn.Module):
    """What a plan says."""

    def __init__(self, made: Plan) -> None:
        super().__init__()
        choose = random.Random(made.seed + 1)
        self.plan = made
        self.into: nn.Module = (
            nn.Embedding(11, made.width) if made.tokens else nn.Linear(made.width, made.width)
        )
        self.parts = nn.ModuleList([part(made.width, choose) for part in made.parts])
        self.head, self.norm = nn.Linear(made.width, CLASSES), nn.LayerNorm(made.width)
        if made.loss == "temperature":
            self.temperature = nn.Parameter(torch.tensor(0.9))
        if made.tied:
            tie(self, choose)
        for parameter in self.parameters():
            parameter.requires_grad_(choose.random() >= made.frozen)

    def forward(self, x: Tensor, view: View) -> Tensor:
        state = self.into(x)
        for place, residual in zip(self.plan.order, self.plan.residual, strict=True):
            found = self.parts[place](state, view)
            state = self.norm(state + found) if residual else found
        if self.plan.loss == "positions":
            return self.head(view.grid(state))
        return self.head(view.pool(state))


def tie(model: nn.Module, choose: random.Random) -> None:
    """Let two plain layers of one size share a weight, or their bias."""
    plain = [
        m
        for m in model.modules()
        if type(m) is nn.Linear and "weight" in dict(m.named_parameters(recurse=False))
    ]
    pairs = [(a, b) for a in plain for b in plain if a is not b and a.weight.shape == b.weight.shape]
    if pairs:
        one, other = choose.choice(pairs)
        name = choose.choice(["weight", "bias"])
        if getattr(one, name) is not None and getattr(other, name) is not None:
            setattr(other, name, getattr(one, name))


def random_subject(seed: int) -> tuple[Subject, str]:
    """A model of this seed with its data, and what it is in words."""
    made = plan(seed)
    torch.manual_seed(seed)
    items = [
        {
            "x": torch.randint(0, 11, (length,)) if made.tokens else torch.randn(length, made.width),
            "kind": torch.randint(0, 2, ()) if n < len(made.lengths) // 2 else torch.randint(0, 3, ()),
            "label": torch.tensor(n % CLASSES),
        }
        for n, length in enumerate(made.lengths)
    ]
    subject = Subject(
        make=lambda: RandomModel(made),
        loss=lambda model, batch: loss(made, model, batch),
        items=items,
        collate=lambda chosen: collated(made, chosen),
    )
    return subject, str(made)


def collated(made: Plan, chosen: list[dict[str, Tensor]]) -> dict[str, Any]:
    """A batch in the plan's layout."""
    grid = pad_sequence([item["x"] for item in chosen], batch_first=True)
    mask = lengths_mask(torch.tensor([len(item["x"]) for item in chosen]))
    view = View(
        layout=made.layout,
        count=len(chosen),
        mask_NT=mask,
        kind_N=torch.stack([item["kind"] for item in chosen]),
    )
    return {"x": view.back(grid), "view": view, "label": torch.stack([item["label"] for item in chosen])}


def loss(made: Plan, model: nn.Module, batch: dict[str, Any]) -> Tensor:
    """One number an example."""
    view, label = batch["view"], batch["label"]
    out = model(batch["x"], view)
    if made.loss == "positions":
        losses = F.cross_entropy(out.transpose(1, 2), label[:, None].expand(out.shape[:2]), reduction="none")
        return (losses * view.mask_NT).sum(1) / view.mask_NT.sum(1)
    if made.loss == "square":
        return (out - F.one_hot(label, CLASSES)).square().sum(1)
    losses = F.cross_entropy(out, label, reduction="none")
    if made.loss == "penalty":
        return losses + 0.1 * model.head.weight.square().sum()
    if made.loss == "temperature":
        return F.cross_entropy(out / model.temperature, label, reduction="none")
    return losses * (1 + view.kind_N) if made.loss == "weighted" else losses
