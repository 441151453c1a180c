"""Members of an ensemble: a checkpoint, a LoRA adapter and a seeded dropout mask.

A plan names them by configuration only. Each `Member` becomes one stretch of every stored vector.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from byline.errors import InvalidRecipe, InvalidTask
from byline.task import Checkpoint


@dataclass(frozen=True, order=True)
class Member:
    """One model of the ensemble."""

    checkpoint: int
    """Position in `Task.checkpoints`."""
    mask_seed: int | None = None
    """Seed of the dropout mask. None leaves the model whole."""
    adapter: int | None = None
    """Position in `Checkpoint.adapters`: only its parameters are attributed. None takes the model's own."""
    weight: float | None = field(default=None, compare=False)
    """Weight of the member's scores, relative to the others. None where all members weigh the same."""

    @property
    def name(self) -> str:
        """`c0`, `c0-m3`, `c0-a1-m3`: names files and the gradients that clients send (`c0-m3/fc.weight`)."""
        adapter = "" if self.adapter is None else f"-a{self.adapter}"
        mask = "" if self.mask_seed is None else f"-m{self.mask_seed}"
        return f"c{self.checkpoint}{adapter}{mask}"

    @property
    def whole(self) -> "Member":
        """The same weights without the mask."""
        return replace(self, mask_seed=None)

    def same_model(self, other: "Member") -> bool:
        """Tell whether both have the same weights, so that one loaded model serves them."""
        return (self.checkpoint, self.adapter) == (other.checkpoint, other.adapter)


class MemberPlan(BaseModel):
    """A plan of the ensemble's members: checkpoints x adapters x masks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoints: tuple[int, ...] | None = None
    """Positions in `Task.checkpoints`. None takes all. Independently trained ones help most, and cost most."""
    adapters: int = Field(default=0, ge=0, le=1024)
    """Number of LoRA adapters of each checkpoint that are members, from the first. 0 attributes the models' own
    parameters. With adapters, only their parameters are attributed: fewer numbers, cheaper passes."""
    masks: int = Field(default=0, ge=0, le=1024)
    """Seeded dropout masks for each checkpoint. 0 leaves the models whole. Ten cost ten gradient passes and no training.
    They help or harm, by their rate, the target and `queries`: choose them by `byline tune`."""
    mask_rate: float | None = Field(default=None, gt=0, lt=1)
    """Rate of the masks. None takes each dropout module's own (modules with rate 0 then stay whole)."""
    mask_seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the first mask. The others follow."""
    queries: Literal["masked", "whole"] = "masked"
    """`whole` differentiates a query once for each checkpoint (or adapter), without a mask, and takes the masks on the
    training side alone: most of a query's cost is then independent of their number. Often as good or better on
    classifiers, with a high `mask_rate`. Worse on the language model that it was measured on. A training point's
    own score, its self-influence, is taken under the masks on both sides."""

    forward_masks: int = Field(default=0, ge=0, le=1024)
    """Masks for the row weight alone: forward passes over the training set, no gradient and no cost of a query.
    0 takes the weight from the members themselves."""

    weights: Literal["equal", "learning_rate"] = "equal"
    """`learning_rate`: checkpoints of one run, each weighted by `Checkpoint.learning_rate`. They are no replicates of a
    model, so answers then have no standard error."""

    @property
    def forward_seeds(self) -> range:
        """Seeds of the masks that only the row weight is taken under."""
        return range(self.mask_seed, self.mask_seed + self.forward_masks)

    def members(self, checkpoint_count: int) -> tuple[Member, ...]:
        """List the members for a Task with this many checkpoints, in the order of the stored vector.

        Raises:
            InvalidRecipe: The plan names a checkpoint that the Task does not have, or one twice.
        """
        chosen: Sequence[int] = range(checkpoint_count) if self.checkpoints is None else self.checkpoints
        if (
            not chosen
            or len(set(chosen)) != len(chosen)
            or not all(0 <= c < checkpoint_count for c in chosen)
        ):
            raise InvalidRecipe(
                f"expected members.checkpoints to be different positions below {checkpoint_count} "
                f"(the Task's number of checkpoints), got {len(chosen)} entries that are not"
            )
        seeds: Sequence[int | None] = [self.mask_seed + i for i in range(self.masks)] or [None]
        adapters: Sequence[int | None] = range(self.adapters) if self.adapters else [None]
        return tuple(
            Member(checkpoint, seed, adapter)
            for checkpoint in chosen
            for adapter in adapters
            for seed in seeds
        )

    def of(self, checkpoints: Sequence[Checkpoint]) -> tuple[Member, ...]:
        """List the members for a Task's checkpoints, with their weights.

        Raises:
            InvalidRecipe: The plan names a checkpoint that the Task does not have, or one twice.
            InvalidTask: A checkpoint has no learning rate, and the plan weighs by it.
        """
        members = self.members(len(checkpoints))
        if self.weights == "equal":
            return members
        rates = [checkpoints[member.checkpoint].learning_rate for member in members]
        if not all(rate is not None and rate > 0 for rate in rates):
            raise InvalidTask(
                "expected Checkpoint.learning_rate above zero on every checkpoint, since members.weights = "
                "'learning_rate': set it, or take members.weights = 'equal'"
            )
        return tuple(replace(member, weight=rate) for member, rate in zip(members, rates, strict=True))


def run_time(member: Member, checkpoints: Sequence[Checkpoint]) -> float:
    """Compute learning rate x steps of the run that a member's checkpoint comes from.

    Raises:
        InvalidTask: The checkpoint declares no learning rate or no steps.
    """
    checkpoint = checkpoints[member.checkpoint]
    declared = {"learning_rate": checkpoint.learning_rate, "steps": checkpoint.steps}
    missing = [f"Checkpoint.{name}" for name, number in declared.items() if number is None]
    if checkpoint.learning_rate is None or checkpoint.steps is None:
        raise InvalidTask(
            f"expected {' and '.join(missing)} on checkpoint {member.checkpoint}, since curvature.filter = 'finite_run': "
            f"declare it, or take curvature.filter = 'damped'"
        )
    return checkpoint.learning_rate * checkpoint.steps


def member_shares(members: Sequence[Member]) -> list[float]:
    """Compute each member's weight in the ensemble's scores. The weights add up to one."""
    weights = [1.0 if member.weight is None else member.weight for member in members]
    return [weight / sum(weights) for weight in weights]
