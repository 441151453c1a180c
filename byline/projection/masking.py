"""Random masks, and GraSS on top of them: a few parameters' gradients, hashed into fewer numbers (GraSS, Hu et al. 2025).

mask                phi = sqrt(P/k) g[S], S one random position of each of k equal stretches of the P parameters
grass               phi = SJLT_k(sqrt(P/k') g[S]), |S| = k' > k
factorised_grass    per block: phi = SJLT_k((sqrt(O/o) l[R] (x) sqrt(I/i) r[C])), summed over positions: the
                    gradient is never formed
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients, CoordinateBasis
from byline.projection.sizes import largest_fitting
from byline.projection.sjlt import add_hashed
from byline.randomness import stratified_positions, stream_key
from byline.types import State


class MaskProjection(BaseModel):
    """Some of the gradient's own coordinates."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["mask"] = "mask"
    size: int = Field(default=4096, ge=1, le=1 << 20)
    """Coordinates that are kept, over all blocks together."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Names the projection. The same on every device."""

    def projector(self, blocks: Sequence[Block], state: State) -> "MaskProjector":
        """Make it ready for a model's blocks."""
        del state
        return MaskProjector(blocks, self.size, self.seed)


class GrassProjection(BaseModel):
    """Some of the gradient's coordinates, hashed into fewer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["grass"] = "grass"
    kept: int = Field(default=65_536, ge=1, le=1 << 24)
    """Coordinates of the gradient that are looked at: time grows with them, and the number of parameters does not matter."""
    size: int = Field(default=4096, ge=1, le=1 << 20)
    """Numbers a stored vector has, for each member."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Names the projection. The same on every device."""

    def projector(self, blocks: Sequence[Block], state: State) -> "GrassProjector":
        """Make it ready for a model's blocks."""
        del state
        return GrassProjector(MaskProjector(blocks, self.kept, self.seed), self)


class FactorisedGrassProjection(BaseModel):
    """Some coordinates of each side of a block, multiplied and hashed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["factorised_grass"] = "factorised_grass"
    kept_in: int = Field(default=128, ge=1, le=1 << 16)
    """Coordinates kept of a layer's input side."""
    kept_out: int = Field(default=64, ge=1, le=1 << 16)
    """Coordinates kept of a layer's output side."""
    size: int | None = Field(default=None, ge=1, le=1 << 20)
    """Numbers of each block; fewer where the kept sides have fewer products. None takes 2,048, or as many as fit where
    there are many layers."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Names the projection. The same on every device."""

    def projector(self, blocks: Sequence[Block], state: State) -> "FactorisedGrassProjector":
        """Make it ready for a model's blocks."""
        del state
        return FactorisedGrassProjector(blocks, self)

    def sizes(self, blocks: Sequence[Block]) -> dict[str, int]:
        """Choose the size that is not set: halved until one matrix a layer fits in memory."""
        if self.size is not None:
            return {"size": self.size}
        products = [min(self.kept_out, b.rows) * min(self.kept_in, b.columns) for b in blocks]
        size = largest_fitting(
            2048, lambda size: [min(size, count) for count in products], lambda size: max(1, size // 2)
        )
        return {"size": size}


class MaskProjector:
    """Picks positions of the gradient written out block after block."""

    def __init__(self, blocks: Sequence[Block], size: int, seed: int) -> None:
        sizes = [block.rows * block.columns for block in blocks]
        ends = list(accumulate(sizes))
        chosen_K = stratified_positions(stream_key(seed, "mask"), ends[-1], size)
        self._scale = (ends[-1] / len(chosen_K)) ** 0.5
        self._places: dict[str, tuple[Tensor, Tensor]] = {}
        for block, end, count in zip(blocks, ends, sizes, strict=True):
            own_K = chosen_K[(chosen_K >= end - count) & (chosen_K < end)] - (end - count)
            if len(own_K):
                self._places[block.name] = (own_K // block.columns, own_K % block.columns)
        self.widths: Mapping[str, int] = {name: len(rows_K) for name, (rows_K, _) in self._places.items()}

    def __call__(self, gradients: BatchGradients) -> Tensor:
        """phi_NK, block after block."""
        device = gradients.objective_N.device
        parts = [
            gradients.blocks[name].entries(rows_K.to(device), columns_K.to(device))
            for name, (rows_K, columns_K) in self._places.items()
        ]
        return torch.cat(parts, dim=1).mul_(self._scale)


class GrassProjector:
    """Hashes what a mask leaves."""

    def __init__(self, mask: MaskProjector, options: GrassProjection) -> None:
        self._mask, self._key = mask, stream_key(options.seed, "grass")
        self.widths: Mapping[str, int] = {"all": options.size}

    def __call__(self, gradients: BatchGradients) -> Tensor:
        """phi_NK."""
        masked_NP = self._mask(gradients)
        phi_NK = masked_NP.new_zeros(len(masked_NP), self.widths["all"])
        add_hashed(phi_NK, masked_NP, self._key)
        return phi_NK


class FactorisedGrassProjector:
    """Masks both factors of every block, multiplies what is left, and hashes the products."""

    def __init__(self, blocks: Sequence[Block], options: FactorisedGrassProjection) -> None:
        self._sides: dict[str, tuple[CoordinateBasis, CoordinateBasis, float]] = {}
        self._keys = {b.name: stream_key(options.seed, "factorised_grass", b.name) for b in blocks}
        widths: dict[str, int] = {}
        size = options.sizes(blocks)["size"]
        for block in blocks:
            rows = stratified_positions(
                stream_key(options.seed, "rows", block.name), block.rows, options.kept_out
            )
            columns = stratified_positions(
                stream_key(options.seed, "columns", block.name), block.columns, options.kept_in
            )
            scale = (block.rows * block.columns / (len(rows) * len(columns))) ** 0.5
            self._sides[block.name] = (CoordinateBasis(rows), CoordinateBasis(columns), scale)
            widths[block.name] = min(size, len(rows) * len(columns))
        self.widths: Mapping[str, int] = widths

    def __call__(self, gradients: BatchGradients) -> Tensor:
        """phi_NK, block after block."""
        return torch.cat([self._block(gradients, name) for name in self._sides], dim=1)

    def _block(self, gradients: BatchGradients, name: str) -> Tensor:
        rows, columns, scale = self._sides[name]
        products_NP = gradients.blocks[name].project(rows, columns).flatten(1) * scale
        if products_NP.shape[1] == self.widths[name]:
            return products_NP
        phi_NK = products_NP.new_zeros(len(products_NP), self.widths[name])
        add_hashed(phi_NK, products_NP, self._keys[name])
        return phi_NK
