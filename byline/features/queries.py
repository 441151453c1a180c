"""Features of queries over all members, for the service and for the offline commands.

Shapes: Q queries, K numbers of a feature, M members.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from byline.curvature.iterative import IterativeCurvature
from byline.errors import InvalidQuery, InvalidTask
from byline.features.featurizer import MemberFeaturizer, Side, combine, member_parts
from byline.features.gradient_names import checked_gradients
from byline.features.refining import QueryRefiner, Refined, join_reports, refuse_unrefinable
from byline.features.solving import QuerySolver
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients
from byline.gradients.outer_products.tensors import dense_gradients
from byline.members import Member, member_shares
from byline.models.device import Compute
from byline.models.ensemble import EnsembleModels
from byline.models.masked_passes import QueryPasses
from byline.models.member import MemberModel
from byline.models.network import Checks
from byline.models.run_geometry import run_geometry
from byline.progress import count_steps
from byline.projection.pca import decode_directions
from byline.recipes import Recipe
from byline.scale.base import NoScale
from byline.task import Item, Task, TrainSet
from byline.types import State


@dataclass(frozen=True, kw_only=True)
class QueryFeatures:
    """Features of queries, and each member's part of them."""

    whole_QK: Tensor
    """float32 [Q, K]: the queries' features, on the CPU."""
    parts_QMK: Tensor | None = None
    """float32 [Q, M, K] of an index with a PCA: the members' parts, which add up to the features. None where
    each member has a stretch of the feature to itself."""
    refined: Refined | None = None
    """How far the queries were solved. None where they were not refined."""


class GradientFeaturizer:
    """Makes query features of gradients that were computed elsewhere. Needs no model and no Task."""

    def __init__(self, recipe: Recipe, blocks: Sequence[Block], states: Mapping[Member, State]) -> None:
        """Prepare every member.

        Args:
            recipe: The index's.
            blocks: Attributed parameter blocks.
            states: Fitted state of every member, in the order of the feature.
        """
        self._recipe, self._blocks = recipe, blocks
        self._featurizers = {m: MemberFeaturizer(recipe, blocks, state) for m, state in states.items()}
        self._shares = member_shares(tuple(states))
        self._whole = recipe.members.queries == "whole"
        found = [decode_directions(state) for state in states.values()] if recipe.pca else []
        self._directions = [directions for directions in found if directions is not None]

    @property
    def members(self) -> tuple[Member, ...]:
        """In the order of the feature."""
        return tuple(self._featurizers)

    @property
    def width(self) -> int:
        """K: numbers of a feature over all members."""
        if self._directions:
            return self._directions[0].shape[1]
        return sum(f.width for f in self._featurizers.values())

    def expected_gradients(self) -> dict[str, tuple[int, ...]]:
        """List the names and shapes that `features_of` takes: one gradient for each member, or each whole model."""
        return {
            f"{self._source(member)}/{name}": shape
            for member in self._featurizers
            for block in self._blocks
            for name, shape in zip(block.parameters, block.shapes, strict=True)
        }

    def features_of(self, tensors: Mapping[str, Tensor], *, refine: int = 0) -> QueryFeatures:
        """Make the feature of one query whose gradients were computed elsewhere, with the members' parts.

        Args:
            tensors: `member/parameter` -> gradient of the objective (a loss, or a negated target), shaped
                like the parameter. See `expected_gradients`.
            refine: Steps that solve it (`byline.features.refining`). 0 takes the index's own solution.

        Returns:
            The features of one query.

        Raises:
            InvalidQuery: A name is missing or unknown, a shape differs, or a number is not finite, or the query is to be
                solved with training points, which need the Task.
        """
        named = checked_gradients(tensors, self.expected_gradients())

        def gradients(member: Member) -> BatchGradients:
            prefix = f"{self._source(member)}/"
            own = {n.removeprefix(prefix): t for n, t in named.items() if n.startswith(prefix)}
            return dense_gradients(self._blocks, own)

        with torch.no_grad():
            made = [self._made(m, gradients(m), refine=refine, mean=False) for m in self._featurizers]
        return self._joined(made)

    def by_member(self, weights_K: Tensor) -> list[Tensor]:
        """Split weights of a feature's numbers by member: weights . feature is the sum of their products.

        Args:
            weights_K: Such as the feature of the other side.

        Returns:
            Weights of each member's own feature, in their order.
        """
        roots = [share**0.5 for share in self._shares]
        if self._directions:
            return [
                V.to(weights_K) @ weights_K * root for V, root in zip(self._directions, roots, strict=True)
            ]
        stretches = torch.split(weights_K, [f.width for f in self._featurizers.values()])
        return [own * root for own, root in zip(stretches, roots, strict=True)]

    def _made(
        self, member: Member, gradients: BatchGradients, *, refine: int, mean: bool
    ) -> tuple[Tensor, Refined | None]:
        """Make a member's stretch of the features, or of the mean's feature alone."""
        if self._recipe.sides == "solved" or refine:
            solver = "refine" if refine else f"recipe '{self._recipe.name}'"
            raise InvalidQuery(
                f"{solver} solves each query with batches of training points, and this index was opened without its "
                f"Task: open it with the Task, or send a finished feature"
            )
        featurizer = self._featurizers[member]
        phi_QK = featurizer.project(gradients, Side.QUERY)
        return featurizer.feature(phi_QK.mean(dim=0, keepdim=True) if mean else phi_QK, Side.QUERY), None

    def _source(self, member: Member) -> str:
        """Name of the model that a member's query gradients are of."""
        return (member.whole if self._whole else member).name

    def _joined(self, made: Sequence[tuple[Tensor, Refined | None]]) -> QueryFeatures:
        """Combine the members' features, in their order."""
        own, refined = [feature for feature, _ in made], join_reports([report for _, report in made])
        if not self._directions:
            whole_QK = combine(own, self._shares).float().cpu()
            return QueryFeatures(whole_QK=whole_QK, refined=refined)
        parts_QMK = member_parts([each.cpu() for each in own], self._directions, self._shares)
        return QueryFeatures(whole_QK=parts_QMK.sum(dim=1), parts_QMK=parts_QMK, refined=refined)


class Featurizer(GradientFeaturizer):
    """Makes query features of queries, with the members' own models."""

    def __init__(
        self, recipe: Recipe, models: Mapping[Member, MemberModel], states: Mapping[Member, State]
    ) -> None:
        """Prepare every member. `open` loads them.

        Args:
            recipe: The index's.
            models: Every member's model, in the order of the feature.
            states: Every member's fitted state, in the same order.
        """
        super().__init__(recipe, next(iter(models.values())).blocks, states)
        self._models = models
        self._passes = QueryPasses(models, whole=self._whole)
        self._solvers = (
            {m: QuerySolver(models[m], recipe.curvature, states[m]) for m in models}
            if isinstance(recipe.curvature, IterativeCurvature)
            else {}
        )
        self._states = states
        self._refiners: dict[Member, QueryRefiner] = {}

    @classmethod
    def open(
        cls,
        task: Task,
        recipe: Recipe,
        states: Mapping[str, State],
        compute: Compute | None = None,
        checks: Checks | None = None,
    ) -> Self:
        """Load every member of an index.

        Args:
            task: The Task that the index was built from.
            recipe: The index's recipe.
            states: Member name -> fitted state.
            compute: Device and precision. Queries need no more than a CPU.
            checks: Results of earlier checks against autograd. None checks every model.

        Returns:
            The featurizer.

        Raises:
            InvalidTask: The Task has other members than the index.
        """
        loaded = EnsembleModels(task, recipe, compute, checks)
        members = recipe.members.of(task.checkpoints)
        for member in members:
            if member.name not in states:
                raise InvalidTask(f"the index has no fitted state for member '{member.name}': rebuild it")
        return cls(
            recipe,
            {member: loaded.load(member) for member in members},
            {member: states[member.name] for member in members},
        )

    @property
    def model(self) -> nn.Module:
        """The first member's model without its mask: it predicts what a query left out."""
        return self.first.model

    @property
    def parts(self) -> list[tuple[MemberModel, MemberFeaturizer]]:
        """Every member's model, and what makes its features, in their order."""
        return [(self._models[member], own) for member, own in self._featurizers.items()]

    @property
    def recipe(self) -> Recipe:
        """The index's."""
        return self._recipe

    @property
    def first(self) -> MemberModel:
        """The first member."""
        return next(iter(self._models.values()))

    @property
    def train_set(self) -> TrainSet:
        """The Task's training set."""
        return self.first.train_set

    def train(self, items: Sequence[Item]) -> Tensor:
        """Make training points' features, as an index stores them: row weight included, not scaled.

        Args:
            items: Training points.

        Returns:
            [N, K], on the CPU.
        """
        own, weights_N = [], torch.zeros(len(items), dtype=torch.float64)
        for member, featurizer in self._featurizers.items():
            gradients = self._models[member].gradients(items, self._recipe.train_signal)
            phi_NK = featurizer.project(gradients, Side.TRAIN)
            own.append(featurizer.feature(phi_NK, Side.TRAIN).cpu())
            weights_N += featurizer.row_weights(phi_NK, gradients.objective_N).cpu() / len(self._featurizers)
        if self._directions:
            combined_NK = member_parts(own, self._directions, self._shares).sum(dim=1)
        else:
            combined_NK = combine(own, self._shares)
        return combined_NK * weights_N[:, None].to(combined_NK)

    def query(
        self, items: Sequence[Item], target: str | None = None, *, mean: bool = False, refine: int = 0
    ) -> Tensor:
        """Make queries' features: float32 [Q, K] on the CPU, or [1, K] with `mean`; see `features`."""
        return self.features(items, target, mean=mean, refine=refine).whole_QK

    def features(
        self, items: Sequence[Item], target: str | None = None, *, mean: bool = False, refine: int = 0
    ) -> QueryFeatures:
        """Make queries' features, with the members' parts.

        Args:
            items: Complete items.
            target: Attributed target. None takes the recipe's.
            mean: Make one feature for the mean of the target over all items.
            refine: Steps that solve each query (`byline.features.refining`). 0 takes the index's own solution.

        Returns:
            The features of Q queries, or of one with `mean`.

        Raises:
            InvalidQuery: The recipe's queries cannot be refined.
        """
        chosen = target or self._recipe.query_target
        if refine:
            refuse_unrefinable(self._recipe)
        made: dict[Member, tuple[Tensor, Refined | None]] = {}
        solved = bool(refine or self._solvers)  # a solution counts beside its pass
        with torch.no_grad(), count_steps("gradient", (1 + solved) * len(self._featurizers)) as advance:
            for member, gradients in self._passes.gradients(items, chosen):
                advance(int(solved))
                made[member] = self._made(member, gradients, refine=refine, mean=mean)
                advance(1)
        return self._joined([made[member] for member in self._featurizers])

    def _made(
        self, member: Member, gradients: BatchGradients, *, refine: int, mean: bool
    ) -> tuple[Tensor, Refined | None]:
        """Make a member's stretch, of solutions where the recipe or the query wants them."""
        if member not in self._solvers and not refine:
            return super()._made(member, gradients, refine=0, mean=mean)
        return self._solved(member, gradients, refine=refine, mean=mean)

    def _solved(
        self, member: Member, gradients: BatchGradients, *, refine: int, mean: bool
    ) -> tuple[Tensor, Refined | None]:
        """Solve for whole gradients, or for their mean alone, and map the solutions to the rows."""
        featurizer, report = self._featurizers[member], None
        vectors_QP = gradients.dense()
        if mean:
            vectors_QP = vectors_QP.mean(dim=0, keepdim=True)
        if refine:
            scaled_QP = featurizer.scale_vectors(vectors_QP)
            solution_QP, report = self._refiner(member).solve(scaled_QP, refine)
        else:
            solution_QP = self._solvers[member].solve(vectors_QP)
        return featurizer.solution_feature(solution_QP.to(vectors_QP)), report

    def _refiner(self, member: Member) -> QueryRefiner:
        """A member's solver, made at its first use."""
        if member not in self._refiners:
            model, scaled = self._models[member], not isinstance(self._recipe.scale, NoScale)
            run = run_geometry(model.task, member, self._blocks, scaled=scaled)
            self._refiners[member] = QueryRefiner(
                model, self._featurizers[member], self._recipe, self._states[member], run
            )
        return self._refiners[member]
