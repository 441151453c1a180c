"""The only code that makes a feature: the same for training points and for queries.

Order: scale -> project -> precondition -> unit norm of each member -> times sqrt(its share) -> concatenate, or add up what
a PCA makes of each -> (training side only, by the index writer) times the row weight. So one inner product
of a query's and a training point's feature is the ensemble's mean score.

Shapes: N examples, K numbers of a feature, Q queries, M members.
"""

from collections.abc import Sequence
from copy import copy
from enum import StrEnum
from functools import cached_property

import torch
from torch import Tensor

from byline.curvature.base import Preconditioner, Statistic
from byline.curvature.filters import RunTimeStatistic
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients
from byline.gradients.outer_products.tensors import flat_gradients
from byline.projection.pca import rotate_features
from byline.recipes import SIDE_POWERS, Recipe
from byline.scale.base import NoScale, Scaler
from byline.scale.kronecker import scaled_statistics
from byline.scale.row_weights import inverse_lengths, one_minus_p
from byline.scale.second_moment import SecondMoment
from byline.types import State


class Side(StrEnum):
    """A side of the inner product: training point or query."""

    TRAIN = "train"
    QUERY = "query"


def statistics(
    recipe: Recipe, blocks: Sequence[Block], moments: State | None = None, run_time: float | None = None
) -> tuple[Statistic, ...]:
    """List the passes that fit a recipe's scale and curvature, in order.

    Args:
        recipe: The method.
        blocks: Attributed parameter blocks.
        moments: The optimizer's, where the checkpoint has them (`byline.models.optimizer_state.load_moments`).
        run_time: Learning rate x steps of the checkpoint, for recipes with `uses_run_time` (`byline.members.run_time`).
    """
    curvature = recipe.curvature.statistics(blocks, recipe.projection)
    if isinstance(recipe.scale, SecondMoment):
        curvature = scaled_statistics(recipe.scale, curvature)
    run = () if run_time is None else (RunTimeStatistic(run_time),)
    return (*recipe.scale.statistics(blocks, moments), *run, *curvature)


class MemberFeaturizer:
    """Gradients of one member -> its stretch of a feature, on either side."""

    def __init__(self, recipe: Recipe, blocks: Sequence[Block], state: State) -> None:
        self._recipe, self._blocks = recipe, blocks
        self._projector = recipe.projection.projector(blocks, state)
        self._state = state

    @cached_property
    def _precondition(self) -> Preconditioner:
        """Made when it is first needed: while a curvature is being fitted, gradients are only projected."""
        return self._recipe.curvature.preconditioner(self._state)

    @cached_property
    def _scaler(self) -> Scaler:
        return self._recipe.scale.scaler(self._state)

    def rescaled(self, state: State) -> "MemberFeaturizer":
        """Take another scale with the same projection, whose random numbers are not drawn again."""
        other = copy(self)
        other.__dict__.pop("_scaler", None)
        other._state = state
        return other

    @property
    def width(self) -> int:
        """Numbers of this member's stretch."""
        return sum(self._projector.widths.values())

    @property
    def unit_norm(self) -> bool:
        """Whether features are divided by their length."""
        return self._recipe.unit_norm

    @property
    def solved(self) -> bool:
        """Whether queries' gradients must be solved before they are projected here."""
        return self._recipe.sides == "solved"

    def project(self, gradients: BatchGradients, side: Side) -> Tensor:
        """Compute phi_NK, scaled for one side and projected, not yet preconditioned. Float64 for a float64 model."""
        scaled = self._scaler.train(gradients) if side is Side.TRAIN else self._scaler.query(gradients)
        return self._projected(scaled)

    def _projected(self, scaled: BatchGradients) -> Tensor:
        phi_NK = self._projector(scaled)
        return phi_NK if phi_NK.dtype == torch.float64 else phi_NK.float()

    def project_training(self, gradients: BatchGradients) -> State:
        """Project a batch of training points.

        Returns:
            `phi` [N, K], `objective` [N], and where the scale tells the sides apart `query_phi` [N, K], the same points'
            as queries.
        """
        made = {"phi": self.project(gradients, Side.TRAIN), "objective": gradients.objective_N}
        if not self._recipe.scale.linear:
            made["query_phi"] = self.project(gradients, Side.QUERY)
        return made

    def feature(self, phi_NK: Tensor, side: Side) -> Tensor:
        """Precondition for one side, then unit norm if the recipe wants it; feature_NK."""
        feature_NK = self._precondition(phi_NK, self._power(side))
        if not self._recipe.unit_norm:
            return feature_NK
        # A feature of zeros stays zero; torch's default epsilon would leave small features shorter than one.
        tiny = torch.finfo(feature_NK.dtype).tiny
        return torch.nn.functional.normalize(feature_NK, dim=1, eps=tiny)

    def pulled_back(self, weights_K: Tensor, side: Side) -> Tensor:
        """Find the direction v in the parameters with v . g = weights . feature(g), by differentiating the feature.

        Args:
            weights_K: Weights of the feature's numbers, before a unit norm.
            side: The feature's.

        Returns:
            v, [1, P], block after block.
        """
        count = sum(block.rows * block.columns for block in self._blocks)
        with torch.enable_grad():
            zeros_1P = torch.zeros(
                1, count, dtype=weights_K.dtype, device=weights_K.device, requires_grad=True
            )
            phi_1K = self.project(flat_gradients(self._blocks, zeros_1P), side)
            feature_1K = self._precondition(phi_1K, self._power(side))
            (direction_1P,) = torch.autograd.grad(feature_1K, zeros_1P, weights_K[None].to(feature_1K))
        return direction_1P

    def length(self, phi_NK: Tensor, side: Side) -> Tensor:
        """Measure every feature before a unit norm divides by it: float64 [N]."""
        feature_NK = self._precondition(phi_NK, self._power(side)).double()
        lengths_N: Tensor = torch.linalg.vector_norm(feature_NK, dim=1)
        return lengths_N

    def _power(self, side: Side) -> float:
        """Power of the damped curvature on one side."""
        on_train, on_query = SIDE_POWERS[self._recipe.sides]
        return on_train if side is Side.TRAIN else on_query

    def scale_vectors(self, vectors_NP: Tensor) -> Tensor:
        """Scale whole gradients of queries, block after block."""
        if isinstance(self._recipe.scale, NoScale):
            return vectors_NP
        return self._scaler.query(flat_gradients(self._blocks, vectors_NP)).dense()

    def solution_feature(self, solution_NP: Tensor) -> Tensor:
        """Map solutions in the scaled parameters to the rows: w with w . row = x . (scaled gradient); feature_NK.

        A row is a power of the curvature times the projected gradient, so w is the projected solution times the inverse
        power. A projection that is not whole leaves out what it leaves out of the row.
        """
        on_train, _ = SIDE_POWERS[self._recipe.sides]
        return self._precondition(self._projected(flat_gradients(self._blocks, solution_NP)), -on_train)

    def quadratic(self, phi_NK: Tensor) -> Tensor:
        """Compute g^T H^-1 g of every row: float64 [N]."""
        inverse_NK, whole_NK = self._precondition(phi_NK, -1.0), self._precondition(phi_NK, 0.0)
        return (inverse_NK.double() * whole_NK.double()).sum(dim=1)

    def row_weights(self, phi_NK: Tensor, objective_N: Tensor) -> Tensor:
        """Compute this member's weights of training rows, except the leverage, which needs other gradients too.

        Args:
            phi_NK: Projected gradients of the train signal.
            objective_N: The train signal's values.

        Returns:
            float64 [N]; ones where the recipe has no weight.
        """
        match self._recipe.row_weight:
            case "one_minus_p":
                return one_minus_p(objective_N)
            case "relative_theta":
                return inverse_lengths(self._precondition(phi_NK, -1.0))
            case "relative_l":
                return inverse_lengths(self.quadratic(phi_NK).clamp_min(0).sqrt()[:, None])
            case _:
                return torch.ones_like(objective_N, dtype=torch.float64)


def combine(features: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """Concatenate the members' features so that an inner product is the weighted mean of the members' scores.

    Args:
        features: One [N, K_m] a member.
        shares: Weights of the members. They add up to one.

    Returns:
        [N, sum of K_m].
    """
    return torch.cat([part * share**0.5 for part, share in zip(features, shares, strict=True)], dim=1)


def member_parts(features: Sequence[Tensor], directions: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """Rotate the members' features, so that an inner product of the sums is the weighted mean of the members' scores.

    Args:
        features: One [N, K_m] a member.
        directions: The PCA's, one [K_m, k] a member.
        shares: Weights of the members. They add up to one.

    Returns:
        [N, M, k]: each member's part; the sum over the members is the feature.
    """
    own = [part * share**0.5 for part, share in zip(features, shares, strict=True)]
    return rotate_features(own, directions)
