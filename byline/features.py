"""The only code that makes a feature: the same for training points and for queries.

Order: project -> precondition -> unit norm of each member -> times sqrt(1/M) -> concatenate -> (training
side only, by the index writer) times the row weight. So one inner product of a query's and a training
point's feature is the ensemble's mean score.

Shapes: N examples, K numbers of a feature, Q queries, M members.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Self

import torch
from torch import Tensor, nn

from byline.curvature.base import Statistic
from byline.errors import InvalidQuery, InvalidTask
from byline.gradients.blocks import Block
from byline.gradients.collector import GradientCollector
from byline.gradients.factors import (
    BatchGradients,
    DenseFactor,
    KroneckerGradient,
    OneHotFactor,
    Use,
)
from byline.gradients.masks import DropoutMask
from byline.gradients.probe import build_collector
from byline.loading import load_checkpoint
from byline.members import Member
from byline.projection.base import State
from byline.recipe import SIDE_POWERS, Recipe
from byline.task import Batch, Item, Task

CPU = torch.device("cpu")
Precision = Literal["float32", "bfloat16"]


class Side(StrEnum):
    """Which end of the inner product a feature is for."""

    TRAIN = "train"
    QUERY = "query"


@dataclass(frozen=True, kw_only=True)
class Compute:
    """Where and how precisely gradients are computed."""

    device: torch.device = CPU
    """`cuda` computes there; features come back the same to rounding."""
    precision: Precision = "float32"
    """`bfloat16` runs the model's passes under autocast; everything after them stays in float32."""


def statistics(recipe: Recipe, blocks: Sequence[Block]) -> tuple[Statistic, ...]:
    """List the passes that fit a recipe's curvature, in order."""
    return recipe.curvature.statistics(blocks, recipe.projection)


class MemberModel:
    """One member's model, ready to be differentiated. Members of one checkpoint may share the collector."""

    def __init__(
        self, task: Task, collector: GradientCollector, mask: DropoutMask | None, compute: Compute
    ) -> None:
        self._task, self._collector, self._mask, self._compute = task, collector, mask, compute

    @classmethod
    def load(
        cls,
        task: Task,
        recipe: Recipe,
        member: Member,
        compute: Compute | None = None,
        sibling: "MemberModel | None" = None,
    ) -> Self:
        """Load a member's weights and check that its gradients are exact.

        Args:
            task: Declares the model and its checkpoints.
            recipe: Names the signal and the masks' rate.
            member: Which checkpoint, which mask.
            compute: Device and precision.
            sibling: A member of the same checkpoint, whose model is used again.

        Returns:
            The member.

        Raises:
            InvalidTask: The weights do not fit the model.
            UnsupportedModel: Gradients cannot be taken example by example.
        """
        compute = compute or Compute()
        collector = (
            sibling._collector if sibling else _load_collector(task, recipe, member.checkpoint, compute)
        )
        rate = recipe.members.mask_rate
        mask = None if member.mask_seed is None else DropoutMask(collector.model, member.mask_seed, rate)
        return cls(task, collector, mask, compute)

    @property
    def model(self) -> nn.Module:
        """The network, in evaluation mode, frozen."""
        return self._collector.model

    @property
    def blocks(self) -> tuple[Block, ...]:
        """What is attributed."""
        return self._collector.blocks

    def gradients(self, items: Sequence[Item], target: str = "loss") -> BatchGradients:
        """Differentiate the loss, or a negated target, for every item.

        Args:
            items: Complete items of the data set's kind.
            target: `"loss"` or one of the Task's targets.

        Returns:
            Values and gradients of the batch.

        Raises:
            InvalidTask: There is no such target, or it does not return one value an example.
            NonFiniteGradient: A gradient is NaN or infinite.
        """
        batch = to_device(self._task.collate(list(items)), self._compute.device)
        return self._collector.collect(self._task.objective(target), batch, len(items), self._within())

    @contextmanager
    def _within(self) -> Iterator[None]:
        bfloat16 = self._compute.precision == "bfloat16"
        with torch.autocast(self._compute.device.type, dtype=torch.bfloat16, enabled=bfloat16):
            if self._mask is None:
                yield
            else:
                with self._mask.active():
                    yield


def _load_collector(task: Task, recipe: Recipe, checkpoint: int, compute: Compute) -> GradientCollector:
    model = task.model()
    if not isinstance(model, nn.Module):
        raise InvalidTask(f"expected Task.model() to return a torch.nn.Module, got {type(model).__name__}")
    load_checkpoint(model, task.checkpoints[checkpoint])
    model.eval().to(compute.device)
    size = len(task.train_set)
    first, second = task.train_set[0], task.train_set[min(1, size - 1)]

    def sample(count: int) -> Batch:
        return to_device(task.collate([first, second, first][:count]), compute.device)

    return build_collector(model, task.objective(recipe.train_signal), sample, task.layers)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move every tensor of a batch; everything else stays as it is."""
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, Mapping):
        # Hugging Face's BatchEncoding and the like are mappings that models are called with: `**batch`.
        return {key: to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, tuple | list):
        parts = [to_device(part, device) for part in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    return batch


class MemberFeaturizer:
    """Gradients of one member -> its stretch of a feature, on either side."""

    def __init__(self, recipe: Recipe, blocks: Sequence[Block], state: State) -> None:
        self._recipe = recipe
        self._projector = recipe.projection.projector(blocks, state)
        self._precondition = recipe.curvature.preconditioner(state)

    @property
    def width(self) -> int:
        """Numbers of this member's stretch."""
        return sum(self._projector.widths.values())

    def project(self, gradients: BatchGradients) -> Tensor:
        """phi_NK: projected, not yet preconditioned; float32 (float64 for a float64 model)."""
        phi_NK = self._projector(gradients)
        return phi_NK if phi_NK.dtype == torch.float64 else phi_NK.float()

    def feature(self, phi_NK: Tensor, side: Side) -> Tensor:
        """Precondition for one side, then unit norm if the recipe wants it; feature_NK."""
        on_train, on_query = SIDE_POWERS[self._recipe.sides]
        feature_NK = self._precondition(phi_NK, on_train if side is Side.TRAIN else on_query)
        if not self._recipe.unit_norm:
            return feature_NK
        tiny = torch.finfo(feature_NK.dtype).tiny
        return torch.nn.functional.normalize(feature_NK, dim=1, eps=tiny)


def combine(features: Sequence[Tensor]) -> Tensor:
    """Concatenate the members' features so that an inner product is the mean of the members' scores.

    Args:
        features: One [N, K_m] a member.

    Returns:
        [N, sum of K_m].
    """
    return torch.cat(list(features), dim=1).mul_(len(features) ** -0.5)


class Featurizer:
    """Queries -> features, over all members: what a service asks."""

    def __init__(
        self, recipe: Recipe, members: Mapping[Member, MemberModel], states: Mapping[str, State]
    ) -> None:
        self._recipe = recipe
        self._models = members
        self._featurizers = {
            m: MemberFeaturizer(recipe, o.blocks, states[m.name]) for m, o in members.items()
        }

    @classmethod
    def open(
        cls, task: Task, recipe: Recipe, states: Mapping[str, State], compute: Compute | None = None
    ) -> Self:
        """Load every member of an index.

        Args:
            task: The Task that the index was built from.
            recipe: The index's recipe.
            states: Member name -> fitted state.
            compute: Device and precision; queries need no more than a CPU.

        Returns:
            The featurizer.

        Raises:
            InvalidTask: The Task has other members than the index.
        """
        members: dict[Member, MemberModel] = {}
        loaded: dict[int, MemberModel] = {}
        for member in recipe.members.members(len(task.checkpoints)):
            if member.name not in states:
                raise InvalidTask(f"the index has no fitted state for member '{member.name}': rebuild it")
            sibling = loaded.get(member.checkpoint)
            members[member] = MemberModel.load(task, recipe, member, compute, sibling)
            loaded.setdefault(member.checkpoint, members[member])
        return cls(recipe, members, states)

    @property
    def members(self) -> tuple[Member, ...]:
        """In the order of the feature."""
        return tuple(self._models)

    @property
    def width(self) -> int:
        """K: numbers of a feature over all members."""
        return sum(f.width for f in self._featurizers.values())

    @property
    def model(self) -> nn.Module:
        """The first member's model without its mask: it predicts what a query left out."""
        return next(iter(self._models.values())).model

    def query(self, items: Sequence[Item], target: str | None = None, *, mean: bool = False) -> Tensor:
        """Make queries' features.

        Args:
            items: Complete items.
            target: What is attributed; None takes the recipe's.
            mean: Make one feature for the mean of the target over all items.

        Returns:
            float32 [Q, K] on the CPU, or [1, K] with `mean`.
        """
        chosen = target or self._recipe.query_target

        def stretch(member: Member) -> Tensor:
            phi_QK = self._featurizers[member].project(self._models[member].gradients(items, chosen))
            phi_QK = phi_QK.mean(dim=0, keepdim=True) if mean else phi_QK
            return self._featurizers[member].feature(phi_QK, Side.QUERY)

        return self._combined(stretch)

    def from_gradients(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Make the feature of one query whose gradients were computed elsewhere.

        Args:
            tensors: `member/parameter` -> gradient of the objective (a loss, or a negated target), shaped
                like the parameter; see `expected_gradients`.

        Returns:
            float32 [1, K].

        Raises:
            InvalidQuery: A name is missing or unknown, a shape differs, or a number is not finite.
        """
        check_gradients(tensors, self.expected_gradients())

        def stretch(member: Member) -> Tensor:
            own = {
                n.removeprefix(f"{member.name}/"): t
                for n, t in tensors.items()
                if n.startswith(f"{member.name}/")
            }
            phi_1K = self._featurizers[member].project(dense_gradients(self._models[member].blocks, own))
            return self._featurizers[member].feature(phi_1K, Side.QUERY)

        return self._combined(stretch)

    def expected_gradients(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes that `from_gradients` takes."""
        return {
            f"{member.name}/{name}": shape
            for member, model in self._models.items()
            for block in model.blocks
            for name, shape in zip(block.parameters, block.shapes, strict=True)
        }

    def _combined(self, stretch: Callable[[Member], Tensor]) -> Tensor:
        with torch.no_grad():
            return combine([stretch(member) for member in self._models]).float().cpu()


def dense_gradients(blocks: Sequence[Block], tensors: Mapping[str, Tensor]) -> BatchGradients:
    """Bring one query's gradients, as tensors shaped like the parameters, to the collector's form.

    A matrix G is the sum over its columns of G e_i e_i^T, so the projections need no second code path.

    Args:
        blocks: The model's blocks.
        tensors: Parameter name -> gradient.

    Returns:
        A batch of one; its objective is unknown and zero.
    """
    gradients: dict[str, KroneckerGradient] = {}
    for block in blocks:
        matrix_NOI = block.matrix({name: tensors[name].float()[None] for name in block.parameters})
        columns = torch.arange(block.columns, device=matrix_NOI.device)[None]
        left = DenseFactor(matrix_NOI.transpose(1, 2))
        gradients[block.name] = KroneckerGradient([Use(left, OneHotFactor(columns, block.columns))])
    return BatchGradients(torch.zeros(1), gradients)


def check_gradients(tensors: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Hold that gradient tensors have the right names, shapes and finite numbers.

    Raises:
        InvalidQuery: They have not.
    """
    missing, unknown = sorted(set(expected) - set(tensors)), sorted(set(tensors) - set(expected))
    if missing or unknown:
        first = f", the first missing '{missing[0]}'" if missing else ""
        raise InvalidQuery(
            f"expected {len(expected)} gradient tensors named member/parameter, got {len(tensors)}: "
            f"{len(missing)} missing{first}, {len(unknown)} unknown"
        )
    for name, shape in expected.items():
        if tuple(tensors[name].shape) != shape:
            raise InvalidQuery(
                f"expected gradient '{name}' of shape {shape}, got {tuple(tensors[name].shape)}"
            )
        if not tensors[name].is_floating_point() or not bool(tensors[name].isfinite().all()):
            raise InvalidQuery(f"expected finite floating-point numbers in gradient '{name}', got others")
