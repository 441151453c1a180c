"""The linearised run against real SGD in float64, and against the product of matrices written out.

The loss -log(w.x) has g g^T for its second derivative, exactly and at every weight, so the Fisher matrix of a batch is
its Hessian: the linearisation is right, and any wrong order of the products shows.
"""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from byline.curvature.trajectory import RecordedSteps, Trajectory, carry_back, trace_span
from byline.errors import InvalidRecipe, NonFiniteGradient

POINTS, WIDTH, STEPS = 9, 4, 14


class Run:
    """SGD on -log(w.x), whose batches overlap, with rates and sizes that change."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(3)
        self.x = torch.rand(POINTS, WIDTH, generator=generator, dtype=torch.float64) + 0.2
        self.start = torch.rand(WIDTH, generator=generator, dtype=torch.float64) + 0.5
        self.batches = [torch.randint(POINTS, (2 + step % 3,), generator=generator) for step in range(STEPS)]
        self.rates = [0.9 / (1 + 0.1 * step) for step in range(STEPS)]

    def final(self, kept: Tensor) -> Tensor:
        """Weights after all steps, each point's part of every batch times `kept` of it."""
        w = self.start
        for rows, rate in zip(self.batches, self.rates, strict=True):
            w = w - rate / len(rows) * (kept[rows, None] * self.gradients(w, rows)).sum(dim=0)
        return w

    def gradients(self, w: Tensor, rows: Tensor) -> Tensor:
        return -self.x[rows] / (self.x[rows] @ w)[:, None]

    def span(self, first: int = 0, last: int = STEPS) -> RecordedSteps:
        w, phi = self.start, []
        for rows, rate in zip(self.batches, self.rates, strict=True):
            phi.append(self.gradients(w, rows))
            w = w - rate / len(rows) * phi[-1].sum(dim=0)
        return RecordedSteps(
            phi_NK=torch.cat(phi[first:last]),
            rows_N=torch.cat(self.batches[first:last]),
            sizes_S=torch.tensor([len(rows) for rows in self.batches[first:last]]),
            rates_S=torch.tensor(self.rates[first:last], dtype=torch.float64),
        )


def summed(span: RecordedSteps, traced_NK: Tensor) -> Tensor:
    return torch.zeros(POINTS, traced_NK.shape[1], dtype=torch.float64).index_add_(0, span.rows_N, traced_NK)


def eye(*widths: int) -> list[Tensor]:
    return [torch.eye(width, dtype=torch.float64) for width in widths]


def test_leaving_a_little_of_a_point_out_of_real_sgd_moves_the_weights_as_traced() -> None:
    run = Run()
    span = run.span()
    found = summed(span, trace_span(span, eye(WIDTH)))
    little = 1e-6
    for point in range(POINTS):
        more, less = torch.ones(POINTS).double(), torch.ones(POINTS).double()
        more[point], less[point] = 1 + little, 1 - little
        moved = (run.final(less) - run.final(more)) / (2 * little)
        torch.testing.assert_close(found[point], moved, rtol=1e-6, atol=1e-8)
    assert found.abs().min(dim=1).values.max() > 1e-3


def test_leaving_a_whole_point_out_moves_the_weights_nearly_so() -> None:
    run = Run()
    run.rates = [rate / 30 for rate in run.rates]
    span = run.span()
    found = summed(span, trace_span(span, eye(WIDTH)))
    whole = run.final(torch.ones(POINTS).double())
    for point in range(POINTS):
        kept = torch.ones(POINTS).double()
        kept[point] = 0
        moved = run.final(kept) - whole
        assert (found[point] - moved).norm() <= 0.05 * moved.norm()


@pytest.mark.parametrize("widths", [(4,), (1, 3)])
def test_every_visit_equals_the_product_written_out(widths: tuple[int, ...]) -> None:
    span = Run().span()
    traced_NK = trace_span(span, eye(*widths))
    ends = span.sizes_S.cumsum(0).tolist()
    steps = [slice(end - int(size), end) for end, size in zip(ends, span.sizes_S, strict=True)]
    mask = torch.block_diag(*[torch.ones(width, width).double() for width in widths])
    for t, rows in enumerate(steps):
        product = torch.eye(WIDTH).double()
        for later, rate in zip(steps[t + 1 :], span.rates_S[t + 1 :], strict=True):
            phi = span.phi_NK[later]
            product = (torch.eye(WIDTH) - rate * mask * (phi.T @ phi) / len(phi)) @ product
        scale = span.rates_S[t] / span.sizes_S[t]
        expected = scale * span.phi_NK[rows] @ product.T
        torch.testing.assert_close(traced_NK[rows], expected, rtol=1e-10, atol=1e-12)


def test_spans_are_traced_one_after_the_other_from_the_end() -> None:
    run = Run()
    whole = trace_span(run.span(), eye(1, 3))
    late, early = run.span(8), run.span(0, 8)
    traced_late = trace_span(late, eye(1, 3))
    traced_early = trace_span(early, carry_back(late, traced_late, eye(1, 3)))
    torch.testing.assert_close(torch.cat([traced_early, traced_late]), whole, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("widths", [(4,), (1, 3)])
def test_weight_decay_shrinks_what_earlier_steps_did(widths: tuple[int, ...]) -> None:
    decays = torch.linspace(0.02, 0.3, STEPS, dtype=torch.float64)
    span = replace(Run().span(), decays_S=decays)
    traced_NK = trace_span(span, eye(*widths))
    ends = span.sizes_S.cumsum(0).tolist()
    steps = [slice(end - int(size), end) for end, size in zip(ends, span.sizes_S, strict=True)]
    mask = torch.block_diag(*[torch.ones(width, width).double() for width in widths])
    for t, rows in enumerate(steps):
        product = torch.eye(WIDTH).double()
        for k in range(t + 1, STEPS):
            phi = span.phi_NK[steps[k]]
            curved = span.rates_S[k] * mask * (phi.T @ phi) / len(phi)
            product = ((1 - decays[k]) * torch.eye(WIDTH).double() - curved) @ product
        expected = span.rates_S[t] / span.sizes_S[t] * span.phi_NK[rows] @ product.T
        torch.testing.assert_close(traced_NK[rows], expected, rtol=1e-10, atol=1e-12)
    late = replace(Run().span(8), decays_S=decays[8:])
    early = replace(Run().span(0, 8), decays_S=decays[:8])
    traced_late = trace_span(late, eye(*widths))
    traced_early = trace_span(early, carry_back(late, traced_late, eye(*widths)))
    torch.testing.assert_close(torch.cat([traced_early, traced_late]), traced_NK, rtol=1e-10, atol=1e-12)


def test_carries_are_read_and_not_written() -> None:
    carries = eye(WIDTH)
    trace_span(Run().span(), carries)
    assert torch.equal(carries[0], torch.eye(WIDTH).double())


def test_a_run_that_diverges_when_linearised_is_refused() -> None:
    span = Run().span()
    wild = RecordedSteps(
        phi_NK=span.phi_NK * 1e40, rows_N=span.rows_N, sizes_S=span.sizes_S, rates_S=span.rates_S
    )
    with pytest.raises(NonFiniteGradient, match="diverges"):
        trace_span(wild, eye(WIDTH))


def test_a_training_point_has_no_feature_of_its_gradient() -> None:
    precondition = Trajectory().preconditioner({})
    phi = torch.ones(2, 3)
    assert precondition(phi, 0.0) is phi
    with pytest.raises(InvalidRecipe, match="recorded run"):
        precondition(phi, -1.0)


def test_blocks_are_layers_or_all_of_them() -> None:
    assert Trajectory().cut({"a": 2, "b": 3}) == (2, 3)
    assert Trajectory(blocks="joint").cut({"a": 2, "b": 3}) == (5,)
