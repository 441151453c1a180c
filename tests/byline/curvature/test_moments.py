"""Packed second moments, and layers that share their input."""

import pytest
import torch

from byline.curvature.moments import RecentMoments, pack, unpack
from byline.gradients.outer_products.factors import DenseFactor


@pytest.mark.parametrize("width", [1, 2, 7, 300])
def test_packing_keeps_a_symmetric_matrix(width: int) -> None:
    torch.manual_seed(0)
    rows = torch.randn(3, width, dtype=torch.float64)
    moment = rows.T @ rows
    assert len(pack(moment)) == width * (width + 1) // 2
    torch.testing.assert_close(unpack(pack(moment), width), moment)


def test_a_diagonal_stays_one() -> None:
    diagonal = torch.arange(5.0)
    assert unpack(diagonal, 5) is diagonal


def _counted(values_NTD: torch.Tensor, count: list[int], *, append_one: bool = False) -> DenseFactor:
    class Counted(DenseFactor):
        def second_moment(self, active_NT: torch.Tensor, *, diagonal: bool) -> torch.Tensor:
            count.append(1)
            return super().second_moment(active_NT, diagonal=diagonal)

    return Counted(values_NTD, append_one)


def test_an_input_of_several_layers_is_multiplied_once() -> None:
    torch.manual_seed(0)
    recent, count = RecentMoments(), []
    shared, inner = torch.randn(2, 5, 40), torch.randn(2, 5, 3)
    active = torch.ones(2, 5, dtype=torch.bool)
    for values in (shared, inner, shared, inner, shared):
        found = unpack(recent.packed(_counted(values, count), active), values.shape[2])
        vectors = values.flatten(0, 1).double()
        torch.testing.assert_close(found, vectors.T @ vectors, rtol=1e-5, atol=1e-5)
    assert len(count) == 3, "the narrow one is computed each time"


@pytest.mark.parametrize("change", ["positions", "values", "form", "one"])
def test_another_input_has_its_own_moment(change: str) -> None:
    torch.manual_seed(0)
    recent = RecentMoments()
    values = torch.randn(2, 40, 40)
    active = torch.ones(2, 40, dtype=torch.bool)
    recent.packed(DenseFactor(values), active)
    other, one = values, change == "one"
    if change == "positions":
        active = active.clone()
        active[0, 3] = False
    elif change == "values":
        other = values + 1
    elif change == "form":
        other = values.transpose(1, 2)
    found = recent.packed(DenseFactor(other, one), active)
    width = other.shape[2] + one
    vectors = DenseFactor(other, one).dense()[active].double()
    torch.testing.assert_close(unpack(found, width), vectors.T @ vectors, rtol=1e-5, atol=1e-5)
