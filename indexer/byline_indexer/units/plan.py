"""Plan a build: the fixed grid of row blocks, the fit samples, and the list of units.

Everything here follows from the plan alone, so that every worker, and every restart, sees the same units.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import torch
from pydantic import JsonValue

from byline.curvature.base import Source
from byline.curvature.labels import Labels
from byline.features.sampling import fit_sample
from byline.gradients.outer_products.blocks import Block
from byline.gradients.report import ParameterReport
from byline.groups import GroupOptions, GroupPartition
from byline.index.libraries import libraries
from byline.members import Member
from byline.models.device import Compute, Precision
from byline.projection.factorised import FactorisedProjection
from byline.projection.masking import FactorisedGrassProjection
from byline.recipes import Recipe
from byline.task import CheckpointDigests
from byline.types import Rows
from byline_indexer.config import BuildSection
from byline_indexer.units.batches import BatchLimits
from byline_indexer.units.unit import ENSEMBLE, Stage, Unit, family

MAX_FIT_BLOCKS = 32
"""Partial sums on disk for one statistic: bounds the room they take, however large the sample."""


@dataclass(frozen=True, kw_only=True)
class Numerics:
    """The choices that the bits of an index depend on, besides its fingerprint."""

    block_rows: int
    batch_rows: int
    threads: int
    device: str
    precision: Precision
    batch_length: int | None = None
    """Items of a batch times the cost of the longest, at most: chosen by the model and `build.memory`."""
    batch_square: float = 0.0
    """Cost of an item of length T beyond T itself, divided by T^2."""

    @classmethod
    def of(cls, build: BuildSection) -> Self:
        """Take the numerics from a build file."""
        return cls(
            block_rows=build.block_rows,
            batch_rows=build.batch_rows,
            threads=build.threads,
            device=build.device,
            precision=build.precision,
        )

    @property
    def limits(self) -> BatchLimits:
        """Size of a batch, at most."""
        return BatchLimits(self.batch_rows, self.batch_length, self.batch_square)

    @property
    def compute(self) -> Compute:
        """Device and precision of gradients."""
        return Compute(device=torch.device(self.device), precision=self.precision)


@dataclass(frozen=True, kw_only=True)
class StatisticPlan:
    """One statistic of every member, and the rows that it is fitted on."""

    name: str
    source: Source
    sample: int | None
    """Rows to fit on. None takes all. 0: what it would measure is given, and only its end is run."""
    labels: Labels = "given"
    """Labels that gradients are taken at."""
    fresh: bool = False
    """Whether gradients are taken anew, in a random order, even where projections could be kept: no other pass is over
    single points."""
    micro_batch: int = 1
    """Points whose gradients are added up, with random signs, to one that is measured."""

    @property
    def reads_projections(self) -> bool:
        """Whether it reads the projections of PROJECT units. Gradients at other labels are taken anew."""
        return self.source == "projected" and self.labels == "given" and not self.fresh


@dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """Everything that a worker needs besides the Task. It is handed over as JSON."""

    task: str | None
    """The Task's source, as `byline.loading.task_file.load_task` takes it. None for a Task in memory, which no other
    process can load."""
    recipe: Recipe
    parameter_blocks: tuple[Block, ...]
    """Attributed parameters as the manifest lists them. All other blocks here are blocks of rows."""
    parameters: ParameterReport
    """Selected parameters that are attributed, frozen and unused."""
    members: tuple[Member, ...]
    rows: int
    numerics: Numerics
    statistics: tuple[StatisticPlan, ...]
    work: Path
    """The work directory."""
    evaluation_rows: int = 0
    """Items of the evaluation set that a statistic is measured on."""
    grouping: GroupOptions | None = None
    """Options of grouping. None if every point has a row of its own."""
    groups: GroupPartition | None = None
    """Groups of the points, once they are made."""
    recordings: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Visits in every span of each member's recorded run. Empty where features come from gradients."""
    task_digest: str | None = None
    """Digest of the Task's source, which every worker compares. None compares nothing."""
    checkpoints: Mapping[int, CheckpointDigests] = field(default_factory=dict)
    """Digests of the checkpoints that are used, which every loading compares."""
    keeps_gradients: bool = False
    """Whether a fit's first pass keeps gradients on the disk for later passes over the same rows. No bit of an index
    depends on it."""
    libraries: Mapping[str, str] = field(default_factory=libraries)
    """Versions that the plan was made with: every worker has the same."""

    @property
    def fast(self) -> bool:
        """Whether groups' gradients are taken at once: then EMIT units go over groups and not over rows."""
        return self.grouping is not None and self.grouping.build == "fast"

    @property
    def fast_groups(self) -> GroupPartition | None:
        """Groups whose gradients are taken at once. None for other builds."""
        return self.groups if self.fast else None

    @property
    def emit_count(self) -> int:
        """Number of EMIT units of a member."""
        if self.fast_groups is None:
            return self.block_count
        return -(-len(self.fast_groups) // self._groups_a_unit)

    def emit_groups(self, block: int) -> range:
        """List the groups that one EMIT unit of a fast build makes."""
        assert self.fast_groups is not None
        size = self._groups_a_unit
        return range(block * size, min((block + 1) * size, len(self.fast_groups)))

    @cached_property
    def _groups_a_unit(self) -> int:
        """Groups of one EMIT unit, which passes over about as many points as a block has."""
        assert self.fast_groups is not None
        return max(1, self.numerics.block_rows * len(self.fast_groups) // self.rows)

    @property
    def block_count(self) -> int:
        """Number of row blocks."""
        return -(-self.rows // self.numerics.block_rows)

    def statistic(self, name: str) -> StatisticPlan:
        """Find the statistic of this name."""
        return next(statistic for statistic in self.statistics if statistic.name == name)

    @property
    def first_of_projections(self) -> str | None:
        """Name of the first statistic of kept projections. None if there is none."""
        return next((s.name for s in self.statistics if s.reads_projections), None)

    @property
    def keeps_projections(self) -> bool:
        """Whether projected gradients must be kept until a statistic of them is there."""
        return any(statistic.reads_projections for statistic in self.statistics)

    def member(self, name: str) -> Member:
        """Find the member of this name."""
        return next(member for member in (*self.members, *self.weighers) if member.name == name)

    @property
    def weighers(self) -> tuple[Member, ...]:
        """Models, without a mask, whose forward passes under masks make the row weights; none for most recipes.

        The members themselves where groups are differentiated at once: a point's weight must be there before.
        """
        if not self.recipe.members.forward_masks:
            return self.members if self.fast and self.recipe.row_weight != "none" else ()
        return tuple(dict.fromkeys(replace(member, mask_seed=None) for member in self.members))

    def weigh_stages(self) -> Iterator[list[Unit]]:
        """List the units that make row weights, which come after all members' own.

        Yields:
            The units of each model. Nothing where the weights come from the members.
        """
        for member in self.weighers:
            yield [Unit(Stage.WEIGH, member.name, block) for block in range(self.block_count)]

    def block_rows(self, block: int) -> range:
        """List the rows of one block of the grid."""
        start = block * self.numerics.block_rows
        return range(start, min(start + self.numerics.block_rows, self.rows))

    def fit_blocks(self, statistic: str) -> list[Rows]:
        """List the rows that each MEASURE unit of a statistic reads."""
        return self._fit_blocks[statistic]

    def _measured(self, statistic: StatisticPlan) -> int:
        return self.evaluation_rows if statistic.source == "evaluation" else self.rows

    @cached_property
    def _fit_blocks(self) -> dict[str, list[Rows]]:
        return {
            s.name: cut_fit_blocks(
                fit_sample(self._measured(s), s.sample, ordered=not s.fresh), self.numerics, s.micro_batch
            )
            for s in self.statistics
        }

    def stages(self, member: str) -> Iterator[list[Unit]]:
        """List a member's units.

        Yields:
            The units of each stage. A stage needs those before it.
        """
        yield from self._fit(member, from_projections=False)
        if self.keeps_projections:
            yield [Unit(Stage.PROJECT, member, block) for block in range(self.block_count)]
            yield from self._fit(member, from_projections=True)
        for number in reversed(range(len(self.recordings.get(member, ())))):
            yield [Unit(Stage.TRACE, member, number)]
            if number:
                yield [Unit(Stage.CARRY, member, number)]
        if self.recipe.pca is None:
            yield self.emit_units(member)
        else:
            yield [Unit(Stage.WIDEN, member, block) for block in self.rotation_blocks]

    def emit_units(self, member: str) -> list[Unit]:
        """List the units that make a member's features, which come after the PCA where there is one."""
        return [Unit(Stage.EMIT, member, block) for block in range(self.emit_count)]

    def _fit(self, member: str, *, from_projections: bool) -> Iterator[list[Unit]]:
        for statistic in self.statistics:
            if statistic.reads_projections == from_projections:
                measures = self.measures(member, statistic.name)
                if measures:
                    yield measures
                yield [Unit(Stage.REDUCE, member, 0, statistic.name)]

    @cached_property
    def rotation_sample(self) -> int:
        """Rows that the PCA is fitted on."""
        return len(self._rotation_fit)

    @cached_property
    def _rotation_fit(self) -> Rows:
        return fit_sample(self.rows, self.recipe.pca.sample if self.recipe.pca else None)

    @cached_property
    def rotation_blocks(self) -> tuple[int, ...]:
        """Blocks of the grid that hold rows which the PCA is fitted on."""
        return tuple(np.unique(self._rotation_fit // self.numerics.block_rows).tolist())

    def rotation_rows(self, block: int) -> Rows:
        """List the rows of a block that the PCA is fitted on, counted within the block."""
        own = self.block_rows(block)
        first, end = np.searchsorted(self._rotation_fit, (own.start, own.stop))
        return self._rotation_fit[first:end] - own.start

    def widened(self, block: int) -> bool:
        """Whether the PCA is fitted on every row of a block: its features are kept then, and not made again."""
        return self.recipe.pca is not None and len(self.rotation_rows(block)) == len(self.block_rows(block))

    def landmarks(self, block: int) -> Rows:
        """List the landmarks of the PCA in a block, counted among the block's rows that it is fitted on."""
        assert self.recipe.pca is not None
        places = self._rotation_fit[self.recipe.pca.landmarks(self.rotation_sample)]
        own = self.block_rows(block)
        first, end = np.searchsorted(places, (own.start, own.stop))
        return np.searchsorted(self.rotation_rows(block), places[first:end] - own.start)

    def pass_name(self, number: int) -> str:
        """Name a pass of the PCA in its units."""
        return str(number)

    def sketch_unit(self, number: int, block: int) -> Unit:
        """Make the unit that sketches one block in one pass."""
        return Unit(Stage.SKETCH, ENSEMBLE, block, self.pass_name(number))

    def mix_unit(self, number: int) -> Unit:
        """Make the unit that ends one pass for all members."""
        return Unit(Stage.MIX, ENSEMBLE, 0, self.pass_name(number))

    def rotation_stages(self) -> Iterator[list[Unit]]:
        """List the units that fit the PCA, which come after all members' own.

        Yields:
            The units of each stage. A stage needs those before it. Nothing where the recipe has no PCA.
        """
        if self.recipe.pca is None:
            return
        for number in range(self.recipe.pca.passes):
            name = self.pass_name(number)
            yield [self.sketch_unit(number, block) for block in self.rotation_blocks]
            yield [Unit(Stage.GATHER, member.name, 0, name) for member in self.members]
            yield [self.mix_unit(number)]
            yield [Unit(Stage.DIRECT, member.name, 0, name) for member in self.members]

    def rotate_units(self) -> list[Unit]:
        """List the units that add up the members' parts of rotated features. None where the recipe has no PCA."""
        if self.recipe.pca is None:
            return []
        return [Unit(Stage.ROTATE, ENSEMBLE, block) for block in range(self.block_count)]

    def measures(self, member: str, statistic: str) -> list[Unit]:
        """List the units that measure a statistic, in the order in which their sums are added."""
        count = len(self.fit_blocks(statistic))
        return [Unit(Stage.MEASURE, member, block, statistic) for block in range(count)]

    def weight(self, unit: Unit) -> int:
        """Count the rows that a unit passes over: roughly its share of the work."""
        match unit.stage:
            case Stage.MEASURE | Stage.GATHER:
                fitted = unit.stage is Stage.MEASURE
                return len(self.fit_blocks(unit.statistic)[unit.block]) if fitted else self.rotation_sample
            case Stage.REDUCE | Stage.MIX | Stage.DIRECT:
                return self.numerics.batch_rows
            case Stage.TRACE | Stage.CARRY:
                return self.recordings[unit.member][unit.block]
            case Stage.WIDEN | Stage.SKETCH:
                return len(self.rotation_rows(unit.block))
            case Stage.EMIT if self.fast_groups is not None:
                return sum(len(self.fast_groups[group]) for group in self.emit_groups(unit.block))
            case _:
                return len(self.block_rows(unit.block))

    def _sizes(self) -> dict[str, JsonValue]:
        """List the sizes of a projection that follow from the model."""
        projection = self.recipe.projection
        if not isinstance(projection, FactorisedProjection | FactorisedGrassProjection):
            return {}
        sizes: dict[str, JsonValue] = {**projection.sizes(self.parameter_blocks)}
        return {"projection": sizes}

    def record(self) -> dict[str, JsonValue]:
        """Record the numerics and the sizes of the fit samples for the manifest."""
        samples: dict[str, JsonValue] = {
            family(s.name): sum(map(len, self.fit_blocks(s.name))) for s in self.statistics
        }
        if self.recipe.pca:
            samples["pca"] = self.rotation_sample
        micro_batches: dict[str, JsonValue] = {family(s.name): s.micro_batch for s in self.statistics}
        visits: list[JsonValue] = [sum(spans) for spans in self.recordings.values()]
        return {
            **settings_record(self.numerics, self.grouping, self.members),
            "batch_length": self.numerics.batch_length,
            "batch_square": self.numerics.batch_square,
            "fit_rows": samples,
            **self._sizes(),
            **({"micro_batches": micro_batches} if self.fast and micro_batches else {}),
            **({"recorded_visits": visits} if visits else {}),
        }


def settings_record(
    numerics: Numerics, groups: GroupOptions | None, members: Sequence[Member]
) -> dict[str, JsonValue]:
    """Record the settings that the build file and the Task determine without a plan."""
    weights: list[JsonValue] = [member.weight for member in members]
    return {
        "block_rows": numerics.block_rows,
        "batch_rows": numerics.batch_rows,
        "threads": numerics.threads,
        "device": numerics.device,
        "precision": numerics.precision,
        **({"groups": groups.model_dump(mode="json")} if groups else {}),
        **({"member_weights": weights} if any(weights) else {}),
    }


def cut_fit_blocks(rows: Rows, numerics: Numerics, micro_batch: int = 1) -> list[Rows]:
    """Cut a fit sample into at most `MAX_FIT_BLOCKS` blocks of whole batches, with a block's number of micro-batches."""
    batches = -(-len(rows) // numerics.batch_rows)
    batches_a_block = max(
        -(-batches // MAX_FIT_BLOCKS), numerics.block_rows // numerics.batch_rows * micro_batch
    )
    size = batches_a_block * numerics.batch_rows
    return [rows[start : start + size] for start in range(0, len(rows), size)]
