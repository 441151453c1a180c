"""The formulas that other libraries are held against, themselves held against autograd and plain inverses."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from benchmarks.peers.comparison import agreement, difference
from benchmarks.peers.dense import Dense
from benchmarks.peers.hessian import Hessian, LastLayer

RIDGE = 0.7


@pytest.fixture(scope="module")
def dense() -> Dense:
    generator = torch.Generator().manual_seed(0)
    shapes = {"0": (5, 4), "3": (3, 5), "6": (3, 3)}
    weights = {}
    for name, shape in shapes.items():
        weights[f"{name}.weight"] = torch.randn(shape, generator=generator)
        weights[f"{name}.bias"] = torch.randn(shape[0], generator=generator)
    x, y = torch.randn(12, 4, generator=generator), torch.randint(3, (12,), generator=generator)
    return Dense(weights, x, y, x[:3] * 0.5, y[:3])


def full_hessian(dense: Dense) -> torch.Tensor:
    """Of the mean loss, in the order of `Dense`'s gradients, by autograd."""
    layers = [
        torch.cat([dense.weights[f"{n}.weight"], dense.weights[f"{n}.bias"][:, None]], dim=1).double()
        for n in ("0", "3", "6")
    ]

    def loss(flat: torch.Tensor) -> torch.Tensor:
        h = dense.x.double()
        parts = flat.split([layer.numel() for layer in layers])
        for place, (part, layer) in enumerate(zip(parts, layers, strict=True)):
            w = part.view_as(layer)
            h = h @ w[:, :-1].T + w[:, -1]
            h = h.relu() if place < 2 else h
        return F.cross_entropy(h, dense.y)

    flat = torch.cat([layer.flatten() for layer in layers])
    hessian: torch.Tensor = torch.autograd.functional.hessian(loss, flat)
    return hessian


def test_products_are_the_hessians(dense: Dense) -> None:
    hessian = full_hessian(dense)
    identity = torch.eye(len(hessian), dtype=torch.float64)
    torch.testing.assert_close(Hessian(dense).product(identity), hessian, rtol=1e-9, atol=1e-10)


def test_inverse_is_solved_to_the_tolerance(dense: Dense) -> None:
    hessian = full_hessian(dense)
    hessian.diagonal().add_(RIDGE)
    wanted = (dense.query_loss @ torch.linalg.inv(hessian) @ dense.train_loss.T).numpy()
    np.testing.assert_allclose(Hessian(dense).inverse(RIDGE), wanted, rtol=1e-5, atol=1e-7)


def test_negative_curvature_is_refused(dense: Dense) -> None:
    with pytest.raises(ValueError, match="take a larger one"):
        Hessian(dense).inverse(-10.0)


def test_all_eigenvectors_are_the_whole_inverse(dense: Dense) -> None:
    hessian = full_hessian(dense)
    size = int((torch.linalg.eigvalsh(hessian).abs() > 1e-9).sum())
    found = Hessian(dense).strongest(RIDGE, kept=size + 1, steps=size + 1)  # one more for what H maps to zero
    np.testing.assert_allclose(found, Hessian(dense).inverse(RIDGE), rtol=1e-3, atol=1e-5)


def test_last_layer_is_a_block_of_the_hessian(dense: Dense) -> None:
    block = full_hessian(dense)[-12:, -12:]
    block.diagonal().add_(RIDGE)
    wanted = dense.query_loss[:, -12:] @ torch.linalg.inv(block) @ dense.train_loss[:, -12:].T
    np.testing.assert_allclose(LastLayer(dense).inverse(RIDGE), wanted.numpy(), rtol=1e-9, atol=1e-12)


def test_inverses_of_batches_do_not_add_up(dense: Dense) -> None:
    whole, summed = LastLayer(dense).inverse(RIDGE), LastLayer(dense).inverse(RIDGE, batch=4)
    assert difference(summed, whole) > 1e-3
    np.testing.assert_allclose(LastLayer(dense).inverse(RIDGE, batch=12), whole)


def test_tuned_weights_are_sums_of_representers(dense: Dense) -> None:
    strength = 0.01
    last = LastLayer(dense)
    sums = last.tuned_representers(strength).sum(axis=1) / (2 * strength * len(dense.x))
    asked = dense.forward(dense.query_x)[0][-1]
    logits = (asked @ last.tuned_weight(strength).T).gather(1, dense.query_y[:, None])[:, 0]
    np.testing.assert_allclose(sums, logits.numpy(), rtol=1e-5, atol=1e-7)


def test_datainf_is_a_mean_of_inverses(dense: Dense) -> None:
    wanted = torch.zeros(3, 12, dtype=torch.float64)
    for train, query in zip(
        dense.train_loss.split([25, 18, 12], 1), dense.query_loss.split([25, 18, 12], 1), strict=True
    ):
        identity = torch.eye(train.shape[1], dtype=torch.float64)
        inverses = torch.stack([torch.linalg.inv(RIDGE * identity + torch.outer(g, g)) for g in train])
        wanted += query @ inverses.mean(dim=0) @ train.T
    np.testing.assert_allclose(dense.datainf(RIDGE), wanted.numpy(), rtol=1e-9, atol=1e-12)


def test_fisher_is_inverted_by_layer(dense: Dense) -> None:
    wanted = torch.zeros(3, 12, dtype=torch.float64)
    for train, query in zip(
        dense.train_loss.split([25, 18, 12], 1), dense.query_loss.split([25, 18, 12], 1), strict=True
    ):
        fisher = train.T @ train / 12
        fisher.diagonal().add_(0.5 * float(train.square().sum()) / 12 / 10)
        wanted += query @ torch.linalg.inv(fisher) @ train.T
    found = dense.fisher_by_layer(0.5, numbers=10)
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("all_classes", [False, True])
def test_ekfac_is_grad_dot_under_a_large_damping(dense: Dense, all_classes: bool) -> None:
    found = dense.ekfac(1e9, absolute=True, all_classes=all_classes) * 1e9
    np.testing.assert_allclose(found, dense.grad_dot(), rtol=1e-6, atol=1e-6)


def test_ekfac_at_the_models_labels_is_not_at_the_given_ones(dense: Dense) -> None:
    assert difference(dense.ekfac(0.1), dense.ekfac(0.1, all_classes=True)) > 1e-3


def test_agreement_ignores_scale_and_difference_takes_one_factor(dense: Dense) -> None:
    scores = dense.grad_dot()
    assert agreement(scores * 7 + 1, scores) == pytest.approx(1.0)
    assert difference(scores * 7, scores) == pytest.approx(0.0, abs=1e-12)
    assert difference(scores * [[1.0], [2.0], [3.0]], scores) > 0.01
