"""K-FAC and EK-FAC, with the truncation that makes them an index (Grosse et al. 2023, and ours).

Per block of O x I parameters, over examples n and their positions t, with l and r as in
`byline.gradients.outer_products.factors`:

    left factor   B = (1/n) sum_n sum_t l l^T          its eigenvectors U_L
    right factor  A = (1/positions) sum_n sum_t r r^T  its eigenvectors U_R
    K-FAC         L = eigenvalues of B (x) A: outer product of theirs
    EK-FAC        L = E_n[(U_L^T G_n U_R)^2], entry by entry

Factors and eigenvectors may be fitted on a random sample. Its own eigenvalues would be far too good for it and too
bad for everybody else (on digits the LDS falls from .50 to .35), so those of the kept coordinates are then measured
again over all training points, which takes no further pass over the model.

Positions whose gradient is exactly zero (padding) count nowhere. With m the mean of L over the block, the
coordinates with the largest L/(L + damping m) over all blocks are kept, and a feature is
R/(L + damping m)^(1/2) there. Another filter of the spectrum (`byline.curvature.filters`) takes the place of both quotients.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from byline.curvature.base import SCRATCH, EveryFit, Preconditioner, Source, Statistic
from byline.curvature.filters import FilteredCurvature, SpectralFilter
from byline.curvature.labels import Labels
from byline.curvature.linalg import replace_zeros, strongest_eigenpairs
from byline.curvature.moments import RecentMoments, pack, unpack
from byline.curvature.sums import LazySums, Sums, wave_name, waves
from byline.errors import InvalidRecipe
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients, Use
from byline.progress import count_items
from byline.projection.base import ProjectionSpec
from byline.projection.eigenbasis import EigenbasisProjection, block_basis
from byline.types import State


class _Kronecker(FilteredCurvature):
    """Options of K-FAC and EK-FAC."""

    damping: float = Field(default=0.3, gt=0, le=1e6)
    """Damping, in units of each block's mean eigenvalue. Between 0.1 and 1 the accuracy is nearly the same."""
    sample: int | None = Field(default=4096, ge=1)
    """Training points that eigenvectors are fitted on, drawn at random. None takes all. docs/benchmarks.md has
    what it costs in accuracy and saves in time."""
    dense_up_to: int = Field(default=4096, ge=1, le=1 << 15)
    """Widest side that gets eigenvectors; wider ones keep their own coordinates, the most active first. So do vocabularies:
    a block's outputs where there are eight times as many as inputs."""

    labels: Labels = "given"
    """Labels of the gradients: the data's, draws of the model, or all classes (the exact GGN)."""

    def preconditioner(self, state: State) -> Preconditioner:
        """Divide every kept coordinate by its damped eigenvalue's power."""
        spectral = self.spectral_filter(state)
        damped = [spectral.inverse(state[f"{n}.eigenvalues"], state[f"{n}.mean"]) for n in kept_blocks(state)]
        return DiagonalPreconditioner(torch.cat(damped))

    def is_diagonal(self, block: Block, side: str) -> bool:
        """Tell whether a side keeps its own coordinates, since it is too wide for eigenvectors or a vocabulary."""
        width = block.rows if side == "left" else block.columns
        return width > self.dense_up_to or (side == "left" and is_vocabulary(block))

    def _waves(self, blocks: Sequence[Block]) -> list[tuple[Block, ...]]:
        return waves(blocks, lambda block: sum(self._moment_bytes(block, side) for side in ("left", "right")))

    def _moment_bytes(self, block: Block, side: str) -> int:
        width = block.rows if side == "left" else block.columns
        return 8 * (width if self.is_diagonal(block, side) else width * (width + 1) // 2)


class Kfac(_Kronecker):
    """Kronecker-factored curvature: one pass for the factors."""

    kind: Literal["kfac"] = "kfac"

    def statistics(self, blocks: Sequence[Block], projection: ProjectionSpec) -> tuple[Statistic, ...]:
        """List the factors. The kept coordinates follow from their eigenvalues, after the last wave."""
        eigenbasis = _eigenbasis(projection)
        cut = self._waves(blocks)
        *earlier, last = range(len(cut))
        return (
            *(
                FactorStatistic(cut[n], eigenbasis, self, wave_name("factors", n, len(cut)), ())
                for n in earlier
            ),
            FactorStatistic(cut[last], eigenbasis, self, wave_name("factors", last, len(cut)), blocks),
        )


class Ekfac(_Kronecker):
    """Eigenvalue-corrected K-FAC: a second pass measures the eigenvalues in the factors' eigenbasis."""

    kind: Literal["ekfac"] = "ekfac"

    def statistics(self, blocks: Sequence[Block], projection: ProjectionSpec) -> tuple[Statistic, ...]:
        """List the factors; the eigenvalues, which select coordinates; these coordinates' own, on all points."""
        eigenbasis = _eigenbasis(projection)
        cut = self._waves(blocks)
        fit: tuple[Statistic, ...] = (
            *(
                FactorStatistic(wave, eigenbasis, self, wave_name("factors", n, len(cut)))
                for n, wave in enumerate(cut)
            ),
            EigenvalueStatistic(blocks, eigenbasis, self),
        )
        return fit if self.sample is None else (*fit, KeptEigenvalueStatistic(self.sample, self.labels))


def _eigenbasis(projection: ProjectionSpec) -> EigenbasisProjection:
    if not isinstance(projection, EigenbasisProjection):
        raise InvalidRecipe("curvature 'kfac' and 'ekfac' go with projection 'eigenbasis'")
    return projection


class DiagonalPreconditioner:
    """A curvature that is diagonal in the kept coordinates."""

    def __init__(self, damped_K: Tensor) -> None:
        self._damped_K = damped_K

    def __call__(self, phi_NK: Tensor, power: float) -> Tensor:
        """Every coordinate times its damped eigenvalue to the power."""
        return phi_NK * self._damped_K.pow(power).to(phi_NK)


class FactorStatistic(EveryFit):
    """Second moments of both sides of the blocks of one wave.

    Args:
        blocks: The wave.
        projection: Ranks and sizes.
        options: The curvature's.
        name: The wave's.
        selects: Blocks among which coordinates are chosen by the factors' eigenvalues, after the last wave. Empty before the
            last wave, None where coordinates are chosen by other eigenvalues.
    """

    source: Source = "positions"

    def __init__(
        self,
        blocks: Sequence[Block],
        projection: EigenbasisProjection,
        options: _Kronecker,
        name: str = "factors",
        selects: Sequence[Block] | None = None,
    ) -> None:
        self.name, self.blocks = name, blocks
        self._projection, self._options, self._selects = projection, options, selects
        self.sample, self.labels = options.sample, options.labels

    def measure(self, batch: BatchGradients | Tensor, state: State) -> Sums:
        """Compute the sums of l l^T and r r^T over active positions, without their lower triangles, and their number."""
        del state
        assert isinstance(batch, BatchGradients)
        recent = RecentMoments()
        return LazySums(
            [
                (
                    [f"{block.name}.{part}" for part in ("left", "right", "positions")],
                    partial(self._moments, block, batch.blocks[block.name].uses, recent),
                )
                for block in self.blocks
            ]
        )

    def _moments(self, block: Block, uses: Sequence[Use], recent: RecentMoments) -> State:
        sums: State = {}
        for use in uses:
            active_NT = use.active()
            for side, factor in (("left", use.left), ("right", use.right)):
                if self._options.is_diagonal(block, side):
                    moment = factor.second_moment(active_NT, diagonal=True).double()
                elif side == "right":
                    moment = recent.packed(factor, active_NT)
                else:
                    moment = pack(factor.second_moment(active_NT, diagonal=False))
                _add(sums, f"{block.name}.{side}", moment)
            _add(sums, f"{block.name}.positions", active_NT.sum().double())
        return sums

    def finish(self, sums: Sums, count: int, state: State) -> State:
        """Return the eigenvectors of both factors, the strongest first, at most `rank` of them."""
        fitted: State = {}
        for block in count_items(None, self.blocks):
            positions = sums[f"{block.name}.positions"].clamp_min(1)
            left = unpack(sums[f"{block.name}.left"], block.rows) / count
            right = unpack(sums[f"{block.name}.right"], block.columns) / positions
            left_values, fitted[f"{block.name}.left"] = self._strongest(left)
            right_values, fitted[f"{block.name}.right"] = self._strongest(right)
            if self._selects is not None:
                mean = _trace(left) * _trace(right) / (block.rows * block.columns)
                fitted[f"{_SPECTRUM}{block.name}"] = torch.outer(left_values, right_values)
                fitted[f"{_MEAN}{block.name}"] = mean
        if self._selects:
            fitted |= self._selected(fitted, state)
        return fitted

    def _selected(self, fitted: State, state: State) -> State:
        """Choose coordinates of the blocks of all waves, and drop this wave's spectra."""
        assert self._selects is not None
        known = state | fitted
        spectra = {block.name: known[f"{_SPECTRUM}{block.name}"] for block in self._selects}
        means = {block.name: known[f"{_MEAN}{block.name}"] for block in self._selects}
        for block in self.blocks:
            del fitted[f"{_SPECTRUM}{block.name}"], fitted[f"{_MEAN}{block.name}"]
        spectral = self._options.spectral_filter(state)
        return select_coordinates(spectra, means, spectral, self._projection.size)

    def _strongest(self, moment: Tensor) -> tuple[Tensor, Tensor]:
        """Eigenvalues and eigenvectors [D, r] of a second moment, or coordinates [r] of a diagonal one."""
        if moment.dim() == 1:
            most = self._projection.coordinates
            values, coordinates = torch.sort(moment, descending=True, stable=True)
            return values[:most], coordinates[:most]
        return strongest_eigenpairs(moment, self._projection.rank)


_SPECTRUM, _MEAN = f"{SCRATCH}spectrum.", f"{SCRATCH}mean."
"""Prefixes of what waves of K-FAC hand to the last one."""


_OUTPUTS_AN_INPUT, _INPUTS = 8, 32
"""Outputs a block has for each input, and inputs, at least, if its outputs are a vocabulary."""


def is_vocabulary(block: Block) -> bool:
    """Tell whether a block's outputs are a vocabulary: those of an embedding, or of a language model's head.

    Tokens are nearly uncorrelated, and eigenvectors would mix the frequent ones and leave out the rare ones, which carry
    most of what retraining tells (docs/benchmarks.md). An adapter's tall factor is none.
    """
    tall = block.rows >= _OUTPUTS_AN_INPUT * block.columns and block.columns >= _INPUTS
    return tall and "lora_" not in block.name


class EigenvalueStatistic(EveryFit):
    """Second moments of the rotated gradients: the corrected eigenvalues."""

    name = "eigenvalues"
    source: Source = "gradients"

    def __init__(
        self, blocks: Sequence[Block], projection: EigenbasisProjection, options: _Kronecker
    ) -> None:
        self._blocks, self._projection, self._options = blocks, projection, options
        self.sample, self.labels = options.sample, options.labels

    def measure(self, batch: BatchGradients | Tensor, state: State) -> State:
        """Compute the sums of R^2, and of the whole gradients' squared lengths."""
        assert isinstance(batch, BatchGradients)
        sums: State = {}
        for block in self._blocks:
            gradient = batch.blocks[block.name]
            left, right = (
                block_basis(block.name, "left", state),
                block_basis(block.name, "right", state),
            )
            squares = gradient.project(left, right).square().sum(dim=0).double()
            whole = (left.size, right.size) == gradient.shape
            sums[f"{block.name}.squares"] = squares
            sums[f"{block.name}.total"] = squares.sum() if whole else gradient.squared_norms().double().sum()
        return sums

    def finish(self, sums: Sums, count: int, state: State) -> State:
        """Compute the kept coordinates and their eigenvalues."""
        spectra = {b.name: sums[f"{b.name}.squares"] / count for b in self._blocks}
        means = {b.name: sums[f"{b.name}.total"] / count / (b.rows * b.columns) for b in self._blocks}
        spectral = self._options.spectral_filter(state)
        return select_coordinates(spectra, means, spectral, self._projection.size)


class KeptEigenvalueStatistic:
    """Second moments of the kept coordinates over all training points."""

    name = "kept"
    source: Source = "projected"
    sample = None
    reads_state = True

    def __init__(self, fitted_on: int, labels: Labels) -> None:
        self._fitted_on, self.labels = fitted_on, labels

    def needed(self, rows: int) -> bool:
        """Tell whether the eigenvalues were fitted on a sample."""
        return rows > self._fitted_on

    def measure(self, batch: BatchGradients | Tensor, state: State) -> State:
        """Compute the sum of squares of every kept coordinate."""
        del state
        assert isinstance(batch, Tensor)
        return {"squares": batch.double().square().sum(dim=0)}

    def finish(self, sums: Sums, count: int, state: State) -> State:
        """Return the eigenvalues in place of the sample's."""
        names = kept_blocks(state)
        parts = torch.split(sums["squares"] / count, [len(state[f"{name}.kept"]) for name in names])
        return {f"{name}.eigenvalues": part.clone() for name, part in zip(names, parts, strict=True)}


def kept_blocks(state: State) -> list[str]:
    """List the blocks with kept coordinates, in the order of the model: that of a feature's stretches."""
    names = [key.removesuffix(".kept") for key in state if key.endswith(".kept") and len(state[key])]
    return sorted(names, key=lambda name: int(state[f"{name}.place"]))


def select_coordinates(
    spectra: Mapping[str, Tensor], means: Mapping[str, Tensor], spectral: SpectralFilter, size: int
) -> State:
    """Choose the coordinates that carry most of the score.

    Args:
        spectra: Block name -> eigenvalues L, [rows, columns] of the rotated block.
        means: Block name -> mean eigenvalue over the whole block, truncated part included.
        spectral: Filter that multiplies a coordinate's share L of the score.
        size: Number of coordinates to keep over all blocks together.

    Returns:
        For each block: `kept` (positions in the flattened rotated block, ascending), their `eigenvalues`,
        the block's `mean` (never zero) and its `place` among the blocks.
    """
    floor = {name: replace_zeros(mean) for name, mean in means.items()}
    gains = [(L / spectral.inverse(L, floor[name])).flatten() for name, L in spectra.items()]
    device = gains[0].device
    lengths = torch.tensor([len(g) for g in gains], device=device)
    owner = torch.repeat_interleave(torch.arange(len(gains), device=device), lengths)
    within = torch.cat([torch.arange(len(g), device=device) for g in gains])
    chosen = torch.sort(torch.cat(gains), descending=True, stable=True).indices[:size]
    selected: State = {}
    for place, (name, spectrum) in enumerate(spectra.items()):
        kept = within[chosen[owner[chosen] == place]].sort().values
        selected[f"{name}.kept"] = kept
        selected[f"{name}.eigenvalues"] = spectrum.flatten()[kept]
        selected[f"{name}.mean"] = floor[name]
        selected[f"{name}.place"] = torch.tensor(place)
    return selected


def _trace(moment: Tensor) -> Tensor:
    return moment.sum() if moment.dim() == 1 else moment.trace()


def _add(sums: State, name: str, part: Tensor) -> None:
    sums[name] = sums[name] + part if name in sums else part
