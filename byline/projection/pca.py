"""A PCA of the members' concatenated features: what ten members cost on disk is what one costs.

Uncentred, since scores are inner products. Of training rows x_i (all members' features, times the row weight w_i)
the directions V of x_i / |x_i|^(1/2) are found: dividing by the square root of the length keeps a few long rows
from taking every direction (docs/ensembles.md has what it gains). A stored vector is V^T x, and a query carries
its members' parts V_m^T q_m, whose sum is the query's vector. So each member's own score comes from the very same
stored numbers.

The directions come from a range finder (Halko, Martinsson & Tropp 2011) in sums over blocks of rows, with Y = X Q and
W = X^T Y:

    T = (Y^T Y)^(-1/2)      W T = X^T orth(Y)      V = the right singular vectors of orth(Y)^T X

At first Q's columns are landmarks: rows of X, evenly spaced. Landmarks lie in the rows' span, so one pass finds what
random vectors need two for. Where all rows are landmarks it keeps every direction whose singular value is above about
2e-3 of the largest. Each further pass begins with Q = V. Signs of V's columns do not matter: both sides have them.

Shapes: N examples, K numbers of a member's feature, L numbers of a sketch, k of a stored vector, M members.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from byline.errors import InvalidRecipe
from byline.types import State

CODES, SCALES = "pca.codes", "pca.scales"
"""Names of a member's directions in its state: int8 [K, k], and what a column is multiplied by, float32 [k]."""
OVERSAMPLING = 32
"""Numbers that a sketch has beyond those that are kept."""
_RANK_TOLERANCE = 1e-11


class Pca(BaseModel):
    """Rotates the concatenation of all members' features onto its strongest directions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(default=512, ge=1, le=1 << 16)
    """Numbers a stored vector has, over all members together."""
    sample: int | None = Field(default=16_384, ge=1)
    """Training points that the directions are fitted on, drawn at random. None takes all."""
    passes: int = Field(default=1, ge=1, le=8)
    """Passes over the features that find the directions. One from landmarks is close to exact, two are closer."""

    @model_validator(mode="after")
    def _sample_is_enough(self) -> Self:
        if self.sample is not None and self.sample < self.size:
            raise InvalidRecipe(
                f"expected pca.sample of at least pca.size points, which the directions are fitted on, got {self.sample:,} "
                f"for {self.size:,} numbers: raise pca.sample, or lower pca.size"
            )
        return self

    def kept_size(self, rows: int, width: int) -> int:
        """Count the numbers k that are kept of features of this width, fitted on this many rows."""
        return min(self.size, rows, width)

    def landmarks(self, rows: int) -> NDArray[np.int64]:
        """List the places of the landmarks among this many rows, ascending: the L numbers of a sketch.

        Args:
            rows: Rows that the directions are fitted on.
        """
        count = min(self.size + OVERSAMPLING, rows)
        return np.arange(count, dtype=np.int64) * rows // count


def fit_scales(squared_norms_N: Tensor, weights_N: Tensor) -> Tensor:
    """Compute the factors of rows for the fit: float64 [N].

    Args:
        squared_norms_N: |x|^2 over all members, without the row weight.
        weights_N: Row weights.

    Returns:
        (w/|x|)^(1/2): of the weighted row w x this leaves w x / |w x|^(1/2). Zero for a row of zeros.
    """
    scales_N = (weights_N.abs() / squared_norms_N.sqrt()).sqrt()
    return torch.where(squared_norms_N > 0, scales_N, torch.zeros_like(scales_N))


def mixing_matrix(sketch_LL: Tensor, moment_LL: Tensor, size: int) -> Tensor:
    """Compute the matrix S that turns the sums W = X^T Y into directions: V = W S.

    Args:
        sketch_LL: Y^T Y, float64.
        moment_LL: W^T W, float64.
        size: Columns to keep.

    Returns:
        S, float64 [L, size], strongest direction first. Zero columns beyond the rank of the rows.
    """
    whiten_LL = _inverse_root(sketch_LL, len(sketch_LL))
    return whiten_LL @ _inverse_root(whiten_LL.T @ moment_LL @ whiten_LL, size)


def _inverse_root(matrix_LL: Tensor, size: int) -> Tensor:
    """U D^(-1/2) of the strongest eigenvalues, zero where they are rounding."""
    values_L, vectors_LL = torch.linalg.eigh((matrix_LL + matrix_LL.T) / 2)
    # `eigh` sorts eigenvalues upward.
    strongest, vectors = values_L.flip(0)[:size], vectors_LL.flip(1)[:, :size]
    sound = strongest > _RANK_TOLERANCE * strongest[:1].clamp_min(0)
    roots = strongest.clamp_min(torch.finfo(torch.float64).tiny).rsqrt() * sound
    scaled: Tensor = vectors * roots
    return scaled


def encode_directions(directions_Kk: Tensor) -> State:
    """Round directions to one byte a number: they are most of what a small index with many members holds.

    Both sides use the rounded ones. The rounding adds about half a percent of a query's length, in random
    directions.
    """
    scales_k = directions_Kk.abs().amax(dim=0) / 127
    codes_Kk = torch.where(scales_k > 0, directions_Kk / scales_k, 0.0).round()
    return {CODES: codes_Kk.to(torch.int8), SCALES: scales_k.float()}


def decode_directions(state: State) -> Tensor | None:
    """Decode a member's directions, float32 [K, k]. None where the index has no PCA."""
    return state[CODES].float() * state[SCALES] if CODES in state else None


def rotate_features(features: Sequence[Tensor], directions: Sequence[Tensor]) -> Tensor:
    """Compute each member's part of the rotated feature.

    Args:
        features: One [N, K_m] a member, scaled as in a concatenation.
        directions: One [K_m, k] a member.

    Returns:
        [N, M, k]. The sum over the members is the feature.
    """
    parts = [f.to(V) @ V for f, V in zip(features, directions, strict=True)]
    return torch.stack(parts, dim=1)
