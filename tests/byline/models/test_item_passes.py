"""Models that a glance at modules, shapes or a few batches would get wrong: exact through items, or refused by cause."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import default_collate

from byline.api.example import Example
from byline.errors import UnsupportedModel
from byline.models.device import Compute
from byline.models.member import MemberModel
from byline.models.network import make_collector
from byline.recipes import recipe
from byline.task import Checkpoint, Task
from tests.reference import reference


def classified(model: nn.Module, batch: Any) -> Tensor:
    return F.cross_entropy(model(*batch[:-1]), batch[-1], reduction="none")


def member(model: nn.Module, items: list[Any], loss: Any = classified, **more: Any) -> MemberModel:
    task = Task(
        name="t", model=lambda: model, checkpoints=[Checkpoint(weights={})], train_set=items,
        describe=lambda row: Example(id=str(row)), loss=loss, **more,
    )  # fmt: skip
    model.eval()
    return MemberModel(task, make_collector(task, recipe("grad_dot"), model, Compute()), None, Compute())


def assert_exact(model: nn.Module, items: list[Any], loss: Any = classified, **more: Any) -> MemberModel:
    """Every item's gradient, in batches of eight, is autograd's of the item alone."""
    made = member(model.double(), items, loss, **more)
    collate: Callable[[list[Any]], Any] = more.get("collate", default_collate)
    names = [name for block in made.blocks for name in block.parameters]
    rows = reference.gradients_one_by_one(model, loss, [collate([item]) for item in items], names)
    expected = torch.tensor(reference.flat(reference.block_matrices(made.blocks, rows)))
    found = torch.cat([made.gradients(items[n : n + 8]).dense() for n in range(0, len(items), 8)])
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)
    return made


def texts(count: int = 24) -> list[Any]:
    generator = torch.Generator().manual_seed(0)
    return [
        (torch.randn(4, 6, generator=generator, dtype=torch.float64), torch.tensor(row % 3))
        for row in range(count)
    ]


class Residual(nn.Module):
    """A view is read, then written into: autograd drops the history of what was read."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.out, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.fc(x)
        kept = h + x
        h.relu_()
        return self.head((self.out(h) + kept).mean(1))


class Broadcast(nn.Module):
    """A bias of one number for all features."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.bias, self.head = (
            nn.Linear(6, 6, bias=False),
            nn.Parameter(torch.ones(1)),
            nn.Linear(6, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.linear(x, self.fc.weight, self.bias).tanh().mean(1))


class Sorted(nn.Module):
    """Examples change places, and back, where one of them has a rare key."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.fc, self.head, self.how = nn.Linear(6, 6), nn.Linear(6, 3), how

    def forward(self, x: Tensor, key: Tensor) -> Tensor:
        order = torch.argsort(-key, stable=True)
        back = torch.argsort(order)
        if self.how == "second":
            x = x.transpose(0, 1)
            return self.head(self.fc(x[:, order]).tanh()[:, back].mean(0))
        moved = torch.eye(len(key), dtype=x.dtype)[order]
        h = self.fc(torch.tensordot(moved, x, 1)).tanh()
        return self.head(torch.tensordot(moved.T, h, 1).mean(1))


class Aside(nn.Module):
    """A module that leaves something beside what it returns, or knows something beside its arguments."""

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(6))
            self.aside: Any = 0.0

        def forward(self, x: Tensor) -> Tensor:
            self.aside = F.relu((x * self.weight).square().sum((1, 2)) - 30)
            return x * self.weight

    def __init__(self) -> None:
        super().__init__()
        self.scaled, self.head = Aside.Scaled(), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.scaled(x).mean(1))


def with_aside(model: Any, batch: Any) -> Tensor:
    return classified(model, batch) + model.scaled.aside


@pytest.mark.parametrize("make", [Residual, Broadcast])
def test_views_that_are_written_into_and_biases_that_are_broadcast(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(1)
    assert_exact(make(), texts())


@pytest.mark.parametrize("how", ["second", "matrix"])
def test_examples_that_change_places_in_rare_batches(how: str) -> None:
    torch.manual_seed(1)
    items = [(x, torch.tensor(int(row in {21, 70, 94})), y) for row, (x, y) in enumerate(texts(96))]
    assert_exact(Sorted(how), items)


def test_what_a_module_leaves_beside_its_output() -> None:
    torch.manual_seed(1)
    items = [(x * (4 if row in {13, 22} else 0.5), y) for row, (x, y) in enumerate(texts(24))]
    assert_exact(Aside(), items, with_aside)


def padded(items: list[Any]) -> Any:
    longest = max(len(x) for x, _ in items)
    return (
        torch.stack([F.pad(x, (0, 0, 0, longest - len(x))) for x, _ in items]),
        torch.stack([y for _, y in items]),
    )


class Pooled(nn.Module):
    """A mean over all positions, padding included."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.head = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.fc(x).tanh().mean(1))


@pytest.mark.parametrize("length", [1, 9])
def test_a_rare_length_where_the_loss_depends_on_padding(length: int) -> None:
    torch.manual_seed(1)
    items = texts(400)
    items[333] = (torch.randn(length, 6, dtype=torch.float64), torch.tensor(1))
    made = assert_exact(Pooled(), items, collate=padded)
    alone = torch.cat([made.values([item]) for item in items[328:336]])
    torch.testing.assert_close(made.values(items[328:336]), alone)
    weights = torch.ones(8, dtype=torch.float64)
    together = made.group_gradient([(items[328:336], weights)]).dense()
    torch.testing.assert_close(
        together.double(),
        made.gradients(items[328:336]).dense().sum(dim=0, keepdim=True),
        rtol=1e-5,
        atol=1e-6,
    )


class Dropped(nn.Module):
    """Dropout that evaluation mode does not end."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.dropout(x, 0.5, training=True).mean(1))


def contrasted(model: nn.Module, batch: Any) -> Tensor:
    z = model(batch[0])
    return F.cross_entropy(z @ z.T, torch.arange(len(z)), reduction="none")


def test_random_models_are_refused() -> None:
    with pytest.raises(UnsupportedModel, match="random numbers"):
        member(Dropped().double(), texts())


def test_losses_that_compare_examples_are_refused() -> None:
    with pytest.raises(UnsupportedModel, match="compares the examples of a batch"):
        member(Pooled().double(), texts(), contrasted)


def test_mixed_precision_is_one_pass_a_batch() -> None:
    """Rounding to bfloat16 is no mixture of examples."""
    torch.manual_seed(1)
    layer = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True, dropout=0.0)
    model = nn.Sequential(layer, nn.Flatten(), nn.Linear(24, 3)).eval()
    items = [(x.float(), y) for x, y in texts()]
    made = member(model, items)
    made._passes.compute = Compute(precision="bfloat16")
    assert made.report.passes == "batch"
    found = made.gradients(items[:8]).dense()
    alone = torch.cat([made.gradients([item]).dense() for item in items[:8]])
    assert float((found - alone).norm() / alone.norm()) < 0.05
    with made._passes.within():
        made._passes.collector.collect_batch(classified, default_collate(items[8:16]), 8)
