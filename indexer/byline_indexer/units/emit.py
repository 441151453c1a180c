"""Perform the units that make features and row weights.

Shapes: N examples, K numbers of a feature.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from byline.features.featurizer import MemberFeaturizer, Side
from byline.models.member import MemberModel
from byline.scale.row_weights import leverage_weights, one_minus_p
from byline.types import Rows, State
from byline_indexer.units.context import WorkerContext
from byline_indexer.units.group_gradients import GroupPass
from byline_indexer.units.outputs import every_weight
from byline_indexer.units.pca import Rotation
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.trajectories import Trajectories
from byline_indexer.units.unit import Stage, Unit
from byline_indexer.units.workspace import Workspace


class EmitStage:
    """Performs WIDEN, EMIT and WEIGH units.

    Args:
        plan: What is built.
        workspace: The units' outputs.
        context: The Task, and one member's model and state.
        trajectories: Features of recorded runs.
        rotation: The PCA, where the recipe has one.
    """

    def __init__(
        self,
        plan: BuildPlan,
        workspace: Workspace,
        context: WorkerContext,
        trajectories: Trajectories,
        rotation: Rotation,
    ) -> None:
        self._plan, self._workspace, self._context = plan, workspace, context
        self._trajectories, self._rotation = trajectories, rotation
        self._weights_R: Tensor | None = None

    def emit(self, unit: Unit) -> State:
        """Make the features of one block of rows, or of groups; rotated where the recipe has a PCA."""
        if self._plan.fast_groups is not None:
            return self._emit_groups(self._context.featurizer(unit.member), unit)
        if self._plan.recipe.pca is None:
            return self._features(unit, self._context.block(unit))
        if self._plan.widened(unit.block):
            made = self._workspace.read(replace(unit, stage=Stage.WIDEN))
        else:
            made = self._features(unit, self._context.block(unit))
        return {**made, "features": self._rotation.part(unit.member, made["features"])}

    def widen(self, unit: Unit) -> State:
        """Make the features of the rows of one block that the PCA is fitted on."""
        rows = self._context.block(unit)[self._plan.rotation_rows(unit.block)]
        return self._features(unit, rows)

    def _features(self, unit: Unit, rows: Rows) -> State:
        """Make features of rows of the unit's block, before a rotation."""
        featurizer = self._context.featurizer(unit.member)
        if self._plan.recipe.recorded:
            return self._emit_recorded(featurizer, unit.member, rows)
        if self._plan.keeps_projections:
            raw = self._workspace.read(Unit(Stage.PROJECT, unit.member, unit.block))
            chosen = torch.from_numpy(rows - self._plan.block_rows(unit.block).start)
            made = emit_batch(featurizer, self._context.to_device({n: t[chosen] for n, t in raw.items()}))
        else:
            batches = self._context.gradients(unit.member, rows)
            made = self._context.in_order(
                emit_batch(featurizer, featurizer.project_training(g)) for g in batches
            )
        if self._plan.recipe.row_weight == "leverage":
            made["weight"] = leverage_weights(self._leverage(featurizer, unit.member, rows))
        return made

    def _emit_recorded(self, featurizer: MemberFeaturizer, member: str, rows: Rows) -> State:
        """Make features from the recorded run. Gradients at the final weights give the rows' own scores."""
        train_NK = self._trajectories.features(member, rows).to(self._plan.numerics.device)

        def parts() -> Iterator[State]:
            for gradients in self._context.gradients(member, rows):
                assert self._context.at is not None
                projected = featurizer.project_training(gradients)
                own = torch.from_numpy(np.searchsorted(rows, self._context.at))
                made = emit_batch(featurizer, projected, train_NK[own.to(train_NK.device)])
                if self._plan.groups is not None:  # a group's own score needs the sum of both sides
                    made["query"] = featurizer.feature(projected["phi"], Side.QUERY).float()
                yield made

        return self._context.in_order(parts())

    def _emit_groups(self, featurizer: MemberFeaturizer, unit: Unit) -> State:
        """Make features of groups whose weighted sums are differentiated."""
        groups = self._plan.fast_groups
        assert groups is not None
        made = GroupPass(
            model=self._context.model(unit.member),
            featurizer=featurizer,
            read=self._context.items,
            weights=self._weights,
            limits=self._plan.numerics.limits,
            signal=self._plan.recipe.train_signal,
        )
        return {"features": made.features([groups[group] for group in self._plan.emit_groups(unit.block)])}

    def _weights(self, rows: Rows) -> Tensor:
        """Read row weights, float64 [N]. The weights of all rows are read once."""
        if self._weights_R is None:
            self._weights_R = every_weight(self._plan, self._workspace)
        return self._weights_R[torch.from_numpy(rows)]

    def _leverage(self, featurizer: MemberFeaturizer, member: str, rows: Rows) -> Tensor:
        """Compute h_N = (1/n) E[g^T H^-1 g], the expectation over the labels that the curvature is fitted with."""
        model = self._context.model(member)

        def parts() -> Iterator[State]:
            for _, items in self._context.batches(rows):
                each = model.expected_gradients(items, self._plan.recipe.labels)
                own = [featurizer.quadratic(featurizer.project(g, Side.TRAIN)) for g in each]
                yield {"leverage": torch.stack(own).sum(dim=0)}

        return self._context.in_order(parts())["leverage"] / self._plan.rows

    def weigh(self, unit: Unit) -> State:
        """Average the row weights under all forward masks of one model."""
        plan = self._plan
        member = plan.member(unit.member)
        model = self._context.model(unit.member)
        masked = [
            MemberModel.load(
                self._context.task(), plan.recipe, replace(member, mask_seed=s), plan.numerics.compute, model
            )
            for s in plan.recipe.members.forward_seeds
        ] or [model]

        def parts() -> Iterator[State]:
            for _, items in self._context.batches(self._context.block(unit)):
                values = [each.values(items, plan.recipe.train_signal).double() for each in masked]
                yield {"weight": torch.stack([one_minus_p(v) for v in values]).mean(dim=0)}

        return self._context.in_order(parts())


def emit_batch(featurizer: MemberFeaturizer, projected: State, train_NK: Tensor | None = None) -> State:
    """Make the output of an EMIT unit of one batch.

    Args:
        featurizer: Of the member.
        projected: What `MemberFeaturizer.project_training` made of them.
        train_NK: The training side's features, where they are not made of that.

    Returns:
        `features` float32 [N, K], `self_influence` float64 [N] (the product of the row's own training and query
        features; zeros where queries are solved, since rows are not) and the row weight's part of this member,
        `weight` float64 [N].
    """
    phi_NK = projected["phi"]
    train_NK = featurizer.feature(phi_NK, Side.TRAIN) if train_NK is None else train_NK
    query_NK = featurizer.feature(projected.get("query_phi", phi_NK), Side.QUERY)
    own_N = (train_NK.double() * query_NK.double()).sum(dim=1)
    if featurizer.solved:
        own_N = torch.zeros_like(own_N)
    return {
        "features": train_NK.float(),
        "self_influence": own_N,
        "weight": featurizer.row_weights(phi_NK, projected["objective"]),
    }
