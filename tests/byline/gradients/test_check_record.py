"""A collector that is made from a record differentiates as the one that was checked."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from byline.gradients.check_record import CheckRecord
from byline.gradients.checks import build_collector
from byline.gradients.collector import GradientCollector


class Scaled(nn.Module):
    """A parameter that no captured operation explains."""

    def __init__(self) -> None:
        super().__init__()
        self.scale_D = nn.Parameter(torch.linspace(0.5, 2, 5))

    def forward(self, x_ND: Tensor) -> Tensor:
        return x_ND * self.scale_D.exp()


class Unreached(nn.Module):
    """A layer that the examples share, and that no value depends on: DoRA's norm of a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 5, bias=False)

    def forward(self, x_ND: Tensor) -> Tensor:
        return self.linear(x_ND) / self.linear(torch.eye(5)).detach().norm(dim=0)


class Normed(nn.Module):
    """Examples that influence one another: they are taken alone."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 5)

    def forward(self, x_ND: Tensor) -> Tensor:
        z_ND = self.linear(x_ND)
        return z_ND / z_ND.norm()


MODELS: dict[str, Callable[[], nn.Module]] = {
    "layers": lambda: nn.Sequential(nn.Linear(5, 5), nn.Tanh(), nn.LayerNorm(5)),
    "a layer that nothing depends on": Unreached,
    "a module": lambda: nn.Sequential(Scaled(), nn.Linear(5, 5)),
    "convolution": lambda: nn.Sequential(nn.Unflatten(1, (1, 5)), nn.Conv1d(1, 2, 3), nn.Flatten()),
    "alone": Normed,
}
BATCH_ND = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))


def squares(model: nn.Module, batch_ND: Tensor) -> Tensor:
    return model(batch_ND).square().sum(dim=1)


def checked(make: Callable[[], nn.Module]) -> GradientCollector:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make().eval()
    return build_collector(model, squares, lambda count: BATCH_ND[[0, 1, 0][:count]])


@pytest.mark.parametrize("name", MODELS)
def test_a_restored_collector_is_the_checked_one(name: str) -> None:
    first = checked(MODELS[name])
    record = CheckRecord.model_validate_json(CheckRecord.of(first).model_dump_json())
    again = GradientCollector(first.model)
    assert record.fits(again)
    record.restore(again)
    assert again.separation == first.separation
    assert (again.separation is None) == (name == "alone")
    assert (again.independent, again.captures, again.copies) == (
        first.independent,
        first.captures,
        first.copies,
    )
    assert (again.unused, again.notice) == (first.unused, first.notice)
    count = 1 if name == "alone" else 3
    mine, theirs = (each.collect(squares, BATCH_ND[:count], count).dense() for each in (again, first))
    assert torch.equal(mine, theirs)
    expected_P = torch.cat(
        [
            grad.flatten()
            for grad in torch.autograd.grad(
                squares(first.model, BATCH_ND[:1]).sum(), list(first.model.parameters())
            )
        ]
    )
    assert mine[0].norm() == pytest.approx(float(expected_P.norm()), rel=1e-4)


def test_a_record_of_other_parameters_does_not_fit() -> None:
    record = CheckRecord.of(checked(MODELS["layers"]))
    assert not record.fits(GradientCollector(nn.Sequential(nn.Linear(5, 4)).eval()))
