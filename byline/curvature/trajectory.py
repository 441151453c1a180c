"""The run itself as curvature: the effect of training on a point at one step on the final weights (Wang et al. 2025).

Without point z in the batch of step t, plain SGD's final weights would differ, to first order, by

    d_t(z) = (I - eta_T H_T) ... (I - eta_(t+1) H_(t+1)) (eta_t / B_t) g_t(z)

with g_t(z) its gradient just before step t, eta the learning rates, and B the sizes of the batches. H_k is the Fisher
matrix of step k's own batch at that step's weights, (1/B_k) sum g g^T over the batch, whole or by layer, in projected
space. AdamW steps by eta P_t g with P_t = diag(1 / (sqrt(v_t) + epsilon)), v_t taken as it was, and weight decay lam:

    d_t(z) = ((1 - eta_T lam) I - eta_T P_T H_T) ... (eta_t / B_t) P_t g_t(z)

With gradients scaled by P_t^(1/2) at every step, and queries by the last step's, this is the product above of scaled
gradients, times 1 - eta lam: exact where P stays as it is, and symmetric, which random projections need. Momentum
spreads a gradient over the next steps with weights that add up to one. It is taken as spent at once.

A point's feature is the sum of d_t over the steps that used it. The product is built from the last step
backwards, transposed: W = I after the last step, and at step t, for the batch's gradients phi (a row each),

    d = (eta_t / B_t) phi W,    W <- (1 - eta_t lam) W - phi^T d,    which is ((1 - eta_t lam) I - eta_t H_t) W.

Shapes: N visits (a point used at a step), K numbers of a gradient, k numbers of one block of it, S steps.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from byline.curvature.base import Preconditioner, Statistic
from byline.curvature.labels import Labels
from byline.curvature.linalg import refuse_too_wide
from byline.errors import InvalidRecipe, NonFiniteGradient
from byline.gradients.outer_products.blocks import Block
from byline.projection.base import ProjectionSpec
from byline.types import State


class Trajectory(BaseModel):
    """Products of I - learning rate x Fisher matrix of the batch, along a recorded run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["trajectory"] = "trajectory"
    blocks: Literal["layer", "joint"] = "layer"
    """One matrix for each layer (where the projection keeps layers apart), or one over all k numbers."""

    @property
    def labels(self) -> Labels:
        """The data's: those that the run was trained with."""
        return "given"

    def statistics(self, blocks: Sequence[Block], projection: ProjectionSpec) -> tuple[Statistic, ...]:
        """Return no statistic: the matrices follow from the recording.

        Raises:
            InvalidRecipe: A matrix would be too large.
        """
        refuse_too_wide(max(self.cut(projection.projector(blocks, {}).widths)))
        return ()

    def preconditioner(self, state: State) -> Preconditioner:
        """Make the identity for queries. Training points' features come from the recording."""
        del state
        return _of_queries

    def cut(self, widths: Mapping[str, int]) -> tuple[int, ...]:
        """List the widths of the blocks that have a matrix each.

        Args:
            widths: The projection's, by layer.
        """
        return tuple(widths.values()) if self.blocks == "layer" else (sum(widths.values()),)


def _of_queries(phi_NK: Tensor, power: float) -> Tensor:
    if power != 0:
        raise InvalidRecipe(
            "expected a query, got a training point: where curvature is 'trajectory', features of training points come "
            "from the recorded run and not from gradients"
        )
    return phi_NK


@dataclass(frozen=True, kw_only=True)
class RecordedSteps:
    """Successive steps of a run."""

    phi_NK: Tensor
    """Projected gradients of every visit, step after step, at the weights before the step."""
    rows_N: Tensor
    """int64: which training point each visit is of."""
    sizes_S: Tensor
    """int64: visits of each step. They add up to N."""
    rates_S: Tensor
    """float64: learning rates."""
    decays_S: Tensor | None = None
    """float64: eta lam, the share of the weights that decoupled weight decay takes. None where nothing decays."""


def trace_span(span: RecordedSteps, carries: Sequence[Tensor]) -> Tensor:
    """Trace the effect of every visit of a span on the final weights.

    Args:
        span: The steps.
        carries: W after the span, float64 [k, k] for each block of the gradient.

    Returns:
        d_NK, computed in float64 and returned in the precision of the gradients.

    Raises:
        NonFiniteGradient: The products outgrow the numbers: the linearized run diverges.
    """
    traced_NK, widths = torch.empty_like(span.phi_NK), [len(carry) for carry in carries]
    phis, outs = torch.split(span.phi_NK, widths, dim=1), torch.split(traced_NK, widths, dim=1)
    for phi_Nk, out_Nk, carry_kk in zip(phis, outs, carries, strict=True):  # one block in float64 at a time
        out_Nk.copy_(_traced(phi_Nk.double(), span, carry_kk.clone()))
    if not bool(traced_NK.isfinite().all()):
        raise NonFiniteGradient(
            "the recorded run diverges when it is linearized: learning rate times the largest eigenvalue of a batch's "
            "Fisher matrix was above 2 for many steps; record with a larger projection, or a run of smaller learning rates"
        )
    return traced_NK


def _traced(phi_Nk: Tensor, span: RecordedSteps, carry_kk: Tensor) -> Tensor:
    """One block of `trace_span`; overwrites the carry."""
    traced_Nk = torch.empty_like(phi_Nk)
    for rows, scale, kept in _steps_backwards(span):
        traced_Nk[rows] = scale * (phi_Nk[rows] @ carry_kk)
        if kept != 1:
            carry_kk *= kept
        carry_kk -= phi_Nk[rows].T @ traced_Nk[rows]
    return traced_Nk


def _steps_backwards(span: RecordedSteps) -> Iterator[tuple[slice, float, float]]:
    """List the steps, the last one first.

    Yields:
        A step's visits, its learning rate / batch size, and the share of the weights that is not decayed.
    """
    end = len(span.rows_N)
    steps = zip(span.sizes_S.tolist(), span.rates_S.tolist(), kept_shares(span).tolist(), strict=True)
    for size, rate, kept in reversed(list(steps)):
        yield slice(end - size, end), rate / size, kept
        end -= size


def kept_shares(span: RecordedSteps) -> Tensor:
    """Compute 1 - eta lam of every step: float64 [S]."""
    return torch.ones_like(span.rates_S) if span.decays_S is None else 1 - span.decays_S


def carry_back(span: RecordedSteps, traced_NK: Tensor, carries: Sequence[Tensor]) -> list[Tensor]:
    """W before a span, from W after it: W - phi^T d, each step's part decayed by the steps before it.

    Args:
        span: The steps.
        traced_NK: Result of `trace_span`.
        carries: W after the span, float64 [k, k] for each block.

    Returns:
        W before it.
    """
    widths = [len(carry) for carry in carries]
    phis, traces = torch.split(span.phi_NK, widths, dim=1), torch.split(traced_NK, widths, dim=1)
    if span.decays_S is None:
        parts = zip(phis, traces, carries, strict=True)
        return [carry_kk - phi_Nk.double().T @ traced_Nk.double() for phi_Nk, traced_Nk, carry_kk in parts]
    through_S = kept_shares(span).cumprod(0)
    before_S = torch.cat([torch.ones_like(through_S[:1]), through_S[:-1]])
    before_N = torch.repeat_interleave(before_S, span.sizes_S).to(traced_NK.device)
    return [
        float(through_S[-1]) * carry_kk - phi_Nk.double().T @ (before_N[:, None] * traced_Nk.double())
        for phi_Nk, traced_Nk, carry_kk in zip(phis, traces, carries, strict=True)
    ]
