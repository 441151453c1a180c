"""Products equal dense float64 matrices, for every kind of network, tied weights and dropout masks included."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from byline.curvature.products import ggn_products, hessian_products
from byline.gradients.masks.mask import DropoutMask
from tests.reference import models

COUNT = 3


def vectors_like(model: nn.Module) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return {
        name: torch.randn(COUNT, *p.shape, generator=generator, dtype=p.dtype)
        for name, p in model.named_parameters()
    }


def flat(tensors: dict[str, Tensor]) -> Tensor:
    return torch.cat([t.flatten(1) for t in tensors.values()], dim=1)


def of_flat(model: nn.Module, function: Callable[[nn.Module], Tensor]) -> tuple[Callable, Tensor]:
    """A function of all parameters as one vector, and the vector."""
    shapes = {name: p.shape for name, p in model.named_parameters()}
    now_P = torch.cat([p.detach().flatten() for p in model.parameters()])

    class Called(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self) -> Tensor:
            return function(self.inner)

    called = Called()

    def value(vector_P: Tensor) -> Tensor:
        parts = vector_P.split([s.numel() for s in shapes.values()])
        own = {f"inner.{n}": part.reshape(s) for (n, s), part in zip(shapes.items(), parts, strict=True)}
        return functional_call(called, own, ())

    return value, now_P


@pytest.mark.parametrize("name", models.CASES)
def test_hessian_products_equal_the_dense_hessian(name: str) -> None:
    case = models.CASES[name]()
    vectors = vectors_like(case.model)
    found = hessian_products(case.model, lambda: case.loss(case.model, case.batch).sum(), vectors)
    value, now_P = of_flat(case.model, lambda model: case.loss(model, case.batch).sum())
    dense = torch.autograd.functional.hessian(value, now_P)
    torch.testing.assert_close(flat(found), flat(vectors) @ dense, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["mlp", "convnet", "recurrent"])
def test_ggn_products_equal_the_dense_matrix(name: str) -> None:
    case = models.CASES[name]()
    inputs, labels = case.batch
    vectors = vectors_like(case.model)
    found = ggn_products(
        case.model,
        lambda: case.model(inputs),
        lambda z: F.cross_entropy(z, labels, reduction="sum"),
        vectors,
    )
    value, now_P = of_flat(case.model, lambda model: model(inputs))
    jacobian_NCP = torch.autograd.functional.jacobian(value, now_P)
    p_NC = case.model(inputs).softmax(dim=1).detach()
    curvature_NCC = torch.diag_embed(p_NC) - p_NC[:, :, None] * p_NC[:, None]
    dense = torch.einsum("nap,nab,nbq->pq", jacobian_NCP, curvature_NCC, jacobian_NCP)
    torch.testing.assert_close(flat(found), flat(vectors) @ dense, rtol=1e-7, atol=1e-9)


def test_ggn_of_a_sequence_with_tied_weights() -> None:
    case = models.transformer(3)
    vectors = vectors_like(case.model)
    labels = case.batch[:, 1:]

    def loss(z: Tensor) -> Tensor:
        return F.cross_entropy(z[:, :-1].transpose(1, 2), labels, reduction="sum")

    found = ggn_products(case.model, lambda: case.model(case.batch), loss, vectors)
    value, now_P = of_flat(case.model, lambda model: model(case.batch))
    jacobian_NTCP = torch.autograd.functional.jacobian(value, now_P)[:, :-1]
    p = case.model(case.batch)[:, :-1].softmax(dim=-1).detach()
    curvature = torch.diag_embed(p) - p[..., :, None] * p[..., None, :]
    dense = torch.einsum("ntap,ntab,ntbq->pq", jacobian_NTCP, curvature, jacobian_NTCP)
    torch.testing.assert_close(flat(found), flat(vectors) @ dense, rtol=1e-7, atol=1e-9)


def test_a_mask_is_part_of_the_network() -> None:
    case = models.mlp(dropout=0.5)
    mask = DropoutMask(case.model, 3)
    written_out = nn.Sequential(*case.model)
    factors = mask.factors("2", 7, torch.device("cpu"))
    written_out[2] = models.Scale(factors)
    vectors = vectors_like(case.model)

    def masked() -> Tensor:
        with mask.active():
            return case.loss(case.model, case.batch).sum()

    found = hessian_products(case.model, masked, vectors)
    expected = hessian_products(written_out, lambda: case.loss(written_out, case.batch).sum(), vectors)
    torch.testing.assert_close(found, expected)
    plain = hessian_products(case.model, lambda: case.loss(case.model, case.batch).sum(), vectors)
    assert not torch.allclose(flat(found), flat(plain))


def test_single_precision_and_frozen_parameters() -> None:
    case = models.mlp()
    exact = hessian_products(
        case.model, lambda: case.loss(case.model, case.batch).sum(), vectors_like(case.model)
    )
    model = case.model.float().requires_grad_(requires_grad=False)
    batch = (case.batch[0].float(), case.batch[1])
    vectors = {name: v.float() for name, v in vectors_like(case.model.double()).items()}
    model.float()
    rough = hessian_products(model, lambda: case.loss(model, batch).sum(), vectors)
    assert flat(rough).dtype == torch.float32
    torch.testing.assert_close(flat(rough).double(), flat(exact), rtol=1e-4, atol=1e-4)
    assert not any(p.requires_grad for p in model.parameters())


def test_a_linear_loss_has_no_curvature() -> None:
    model = nn.Linear(3, 2)
    x = torch.randn(4, 3)
    vectors = vectors_like(model)
    for found in (
        hessian_products(model, lambda: model(x).sum(), vectors),
        ggn_products(model, lambda: model(x), lambda z: z.sum(), vectors),
    ):
        assert not flat(found).any()


def test_attention_is_differentiated_twice() -> None:
    """Fused kernels cannot be."""
    torch.manual_seed(0)
    model = nn.Linear(8, 24)
    x = torch.randn(2, 5, 8)

    def total() -> Tensor:
        q, k, v = model(x).chunk(3, dim=-1)
        return F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None]).square().sum()

    found = hessian_products(model, total, vectors_like(model))
    assert flat(found).isfinite().all()
