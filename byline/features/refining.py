"""Queries solved with the training loss' Gauss-Newton matrix, on an index that stays as it is.

    x = (D G D + lam)^-1 D q        w . r = x . D g,  for stored rows r = (L + d)^-1/2 Q^T D g:  w = (L + d)^1/2 Q^T x

with q the query's gradient, g a training point's, G the mean over the training points of their losses' Gauss-Newton
matrices (or over a fixed sample of them), and D the recipe's scale, if it has one: the identity otherwise. Of a truncated
Q, w . r is the part of x . D g along the kept coordinates. Rows of recipes without a curvature are r = P D g, and w = P x.

Runs of Adam whose checkpoint declares steps, learning rate and moments are solved in the run's own metric, E D
(`byline.models.run_geometry`):

    x = E (E D G D E + lam)^-1 E D q     lam = 6 / (eta T), by conjugate gradients from zero

Adam's metric is the preconditioner. One step is the gradient in that metric, and few steps reach the directions that
are above this damping.

All others are solved for x itself. A Kronecker fit is a model of G: c L in its eigenbasis, c the ratio of G's mean
eigenvalue to the fit's (a fit to gradients of sequences is about T times too small, T the length of a sequence).
Conjugate gradients are preconditioned by M^-1 = (c L + lam)^-1 (`byline.curvature.kronecker_inverse`), from M^-1 D q:
the index's own solution under this damping. That start has the length of the solution along most directions. The
steps repair the few along which the fit is far from G, and leave the others as they are. Damping lam, in units of G,
whose loss is a mean over training points:

    1 / (eta T)            where a run without moments is declared: T = `Checkpoint.steps`, eta = `Checkpoint.learning_rate`
    30 x mean eigenvalue   of D G D otherwise, as recipe `if_cg` has it. The recipe's own damping would be far too little:
                           it is of a fit, which has no eigenvalues as small and as large as G's

G's mean eigenvalue is estimated when the first query needs it (Hutchinson 1990). Scores are in the weights' own units:
with n training points, removing one raises the query's loss by about score / n.

Shapes: V vectors at once, P numbers of all parameters together, K coordinates, Q queries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from byline.curvature.base import NoCurvature
from byline.curvature.iterative import NUMBERS, Cg
from byline.curvature.kronecker import Ekfac, Kfac
from byline.curvature.kronecker_inverse import block_spectra, nearby_inverse
from byline.curvature.solvers import Product, conjugate_gradients
from byline.errors import InvalidQuery, NonFiniteGradient
from byline.features.featurizer import MemberFeaturizer
from byline.features.solving import TrainingProducts
from byline.models.member import MemberModel
from byline.models.run_geometry import RunGeometry
from byline.progress import count_items, count_steps
from byline.randomness import random_signs, stream_key
from byline.recipes import Recipe
from byline.types import State

SAMPLE = 4096
"""Training points that the products run over: all of smaller training sets, a fixed random sample of larger ones."""
BATCH = 64
"""Training points that are differentiated together."""
PROBES = 8
"""Vectors of random signs that estimate the mean eigenvalue."""
TOLERANCE = 1e-4
"""Residual, relative to the query's gradient, at which a query is solved."""


@dataclass(frozen=True, kw_only=True)
class Refined:
    """How far queries were solved."""

    steps_Q: Tensor
    """int64: the most steps of any member."""
    residual_Q: Tensor
    """float64: |(G + lam) x - q| / |q| in the metric that was solved in, the largest of any member."""
    sample: int
    """Training points that the products ran over."""
    damping: float
    """lam, mean over the parameters and the members."""


def join_reports(reports: Sequence[Refined | None]) -> Refined | None:
    """Sum up the members' reports. None where nothing was refined."""
    known = [each for each in reports if each is not None]
    if not known:
        return None
    return Refined(
        steps_Q=torch.stack([each.steps_Q for each in known]).amax(dim=0),
        residual_Q=torch.stack([each.residual_Q for each in known]).amax(dim=0),
        sample=known[0].sample,
        damping=sum(each.damping for each in known) / len(known),
    )


def refuse_unrefinable(recipe: Recipe) -> None:
    """Require that a solution can be mapped to a recipe's rows.

    Raises:
        InvalidQuery: It cannot, or needs none.
    """
    reason = _reason(recipe)
    if reason is not None:
        raise InvalidQuery(
            f"refine solves queries for rows of 'kfac' and 'ekfac', and for rows without a curvature; recipe "
            f"'{recipe.name}' {reason}: leave refine out, or build with 'ekfac'"
        )


def _reason(recipe: Recipe) -> str | None:
    """Say why a recipe's queries are not refined. None where they are."""
    if recipe.sides == "solved":
        return "solves its queries anyway (curvature.iterations says how far)"
    if recipe.unit_norm:
        return "stores rows of unit length, which no solution maps to"
    if not recipe.scale.linear:
        return "stores directions of an optimizer's steps, which are no linear map of gradients"
    if not isinstance(recipe.curvature, Kfac | Ekfac | NoCurvature):
        return f"inverts its own curvature '{recipe.curvature.kind}' in the rows' coordinates"
    return None


class QueryRefiner:
    """Solves queries' gradients for one member.

    Args:
        model: The member.
        featurizer: Scales gradients, and has the rows' own inverse.
        recipe: The index's.
        state: The member's fitted state.
        run: Damping and metric of the member's run. None where it is not declared.
    """

    def __init__(
        self,
        model: MemberModel,
        featurizer: MemberFeaturizer,
        recipe: Recipe,
        state: State,
        run: RunGeometry | None,
    ) -> None:
        self._model, self._featurizer, self._recipe = model, featurizer, recipe
        self._run = run
        self._metric_P = None if run is None or run.metric_P is None else self._relative(run.metric_P)
        self._products = TrainingProducts(model, SAMPLE, BATCH)
        kronecker = isinstance(recipe.curvature, Kfac | Ekfac)
        self._spectra = block_spectra(model.blocks, state) if kronecker else []

    @property
    def sample(self) -> int:
        """Training points that the products run over."""
        return self._products.rows

    @cached_property
    def mean(self) -> float:
        """Mean eigenvalue of the scaled Gauss-Newton matrix. Its first reading costs a pass over the sample.

        Raises:
            NonFiniteGradient: It is not a number above zero.
        """
        width = sum(block.rows * block.columns for block in self._model.blocks)
        key = stream_key(0, "refine")
        together, trace = max(1, min(PROBES, NUMBERS // width)), 0.0
        with count_steps("estimate", 1) as advance:
            for first in range(0, PROBES, together):
                count = min(together, PROBES - first)
                signs_VP = random_signs(key, first, count, width, torch.device("cpu")).double()
                products_VP = self._multiply(signs_VP)
                trace += float((products_VP * signs_VP.to(products_VP)).sum())
            advance(1)
        mean = trace / PROBES / width
        if not mean > 0:
            raise NonFiniteGradient(
                f"expected a Gauss-Newton matrix with a mean eigenvalue above zero, got {mean:.3g}: leave refine out, or "
                f"look at the checkpoint"
            )
        return mean

    @cached_property
    def dampings(self) -> list[float]:
        """Lam of every block: see this module's page."""
        damping = Cg().damping * self.mean if self._run is None else self._run.damping
        return [damping] * len(self._model.blocks)

    @cached_property
    def _added(self) -> Tensor:
        """Lam of every parameter, float64."""
        sizes = torch.tensor([block.rows * block.columns for block in self._model.blocks])
        return torch.tensor(self.dampings, dtype=torch.float64).repeat_interleave(sizes)

    def solve(self, gradients_VP: Tensor, steps: int) -> tuple[Tensor, Refined]:
        """Compute x of every row of scaled gradients.

        Args:
            gradients_VP: Queries' scaled gradients, block after block.
            steps: The most steps of conjugate gradients.

        Returns:
            x, float64 [V, P], and how far each was solved.
        """
        cut = torch.split(gradients_VP.double(), max(1, NUMBERS // max(1, gradients_VP.shape[1])))
        found = [self._solve(part_VP, steps) for part_VP in count_items(None, cut)]
        return torch.cat([x_VP for x_VP, _ in found]), Refined(
            steps_Q=torch.cat([report.steps_Q for _, report in found]),
            residual_Q=torch.cat([report.residual_Q for _, report in found]),
            sample=self.sample,
            damping=found[0][1].damping,
        )

    def _solve(self, gradients_VP: Tensor, steps: int) -> tuple[Tensor, Refined]:
        added_P = self._added.to(gradients_VP.device)
        inverse, right_VP = self._inverse(), self._in_metric(gradients_VP)
        with count_steps("solve", steps + (inverse is not None)) as advance:

            def product(vectors_VP: Tensor) -> Tensor:
                product_VP = self._in_metric(self._multiply(self._in_metric(vectors_VP)))
                advance(1)
                return product_VP + added_P * vectors_VP

            found = conjugate_gradients(
                product,
                right_VP,
                iterations=steps,
                tolerance=TOLERANCE,
                inverse=inverse,
                start_VP=None if inverse is None else inverse(right_VP),
            )
        return self._in_metric(found.x_VP), Refined(
            steps_Q=found.steps_V.cpu(),
            residual_Q=found.residual_V.cpu(),
            sample=self.sample,
            damping=float(self._added.mean()),
        )

    def _relative(self, metric_P: Tensor) -> Tensor:
        """Divide the run's metric by the recipe's scale: E, float64."""
        return metric_P / self._featurizer.scale_vectors(torch.ones(1, len(metric_P)))[0].double()

    def _in_metric(self, vectors_VP: Tensor) -> Tensor:
        """Multiply by E: by nothing outside of a run's metric."""
        return vectors_VP if self._metric_P is None else self._metric_P.to(vectors_VP.device) * vectors_VP

    def _multiply(self, vectors_VP: Tensor) -> Tensor:
        """Multiply by D G D."""
        scaled_VP = self._featurizer.scale_vectors(vectors_VP)
        return self._featurizer.scale_vectors(self._products.mean(scaled_VP, "ggn"))

    def _inverse(self) -> Product | None:
        """Make the preconditioner: of the damping alone where nothing is known of G. None in a run's metric."""
        if self._metric_P is not None:
            return None
        if self._spectra:
            return nearby_inverse(self._spectra, self.mean, self.dampings)
        added_P = self._added
        return lambda vectors_VP: vectors_VP / added_P.to(vectors_VP.device)
