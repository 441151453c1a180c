"""Names and options of the parts of an index directory. `docs/index-format.md` describes them."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from byline.groups import GroupOptions

SCHEMA_VERSION: Literal[3] = 3
"""Raised whenever an older release could not read, or would misread, an index. Part of a version's name."""
MANIFEST = "manifest.json"
EXAMPLES = "examples.sqlite"
SEARCH = "search.faiss"
OWNER_ROWS = "groups/owner_rows.npy"
OWNER_SUMS = "groups/owner_sums.npy"
GROUP_MEMBERS = "groups/members.npy"
GROUP_ENDS = "groups/ends.npy"
SELF_INFLUENCE = "columns/self_influence.npy"
ROW_WEIGHTS = "columns/row_weights.npy"
ITEM_DIGESTS = "columns/item_digests.npy"
CODE_CENTRE = "columns/code_centre.npy"
CODE_LOSSES = "columns/code_losses.npy"
CURRENT = "current"
DIGEST_CACHE = ".digests.json"
CHECK_CACHE = ".checks.json"
FOLDERS = ("columns", "curvature", "groups", "vectors")

BLOCK_BYTES = 1 << 24
"""Float32 bytes of a block of rows: what writing and scanning hold at a time."""


MAX_FACTOR = 1_000
"""Candidates for each result at most: FAISS refuses to read a larger number."""


def curvature_file(member: str) -> str:
    """Return the path of a member's fitted state."""
    return f"curvature/{member}.safetensors"


def shard_file(number: int) -> str:
    """Return the path of a shard of vectors."""
    return f"vectors/{number:05d}.npy"


def block_rows(width: int) -> int:
    """Compute the rows in a block of vectors of this width: a multiple of 32, which FAISS packs together."""
    return max(32, min(4096, BLOCK_BYTES // (4 * width)) // 32 * 32)


class StorageOptions(BaseModel):
    """Options of storage and search. Part of the fingerprint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dtype: Literal["fp16", "fp32"] = "fp16"
    """fp16 halves the bytes and loses nothing that matters; fp32 is for comparisons."""
    search: Literal["exact", "compressed"] = "exact"
    """`compressed` for 50,000 rows and more: 1-bit codes find candidates, stored rows score them."""
    keep: Literal["rows", "codes"] = "rows"
    """`codes` keeps `search.faiss` alone: half the bytes if exact; approximate answers if compressed."""
    shard_rows: int = Field(default=65_536, ge=1)
    """Rows in a file under `vectors/`."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the rotation before the codes and of the queries that recall is measured on."""
    rescore_factor: int | None = Field(default=None, ge=1, le=MAX_FACTOR)
    """Fixed number of candidates for each requested result. None widens them for each query until they are enough."""

    @property
    def exact(self) -> bool:
        """Whether every score comes from a stored row."""
        return self.search == "exact" or self.keep == "rows"

    @property
    def stored_type(self) -> np.dtype[np.float16] | np.dtype[np.float32]:
        """The numpy type of a stored number."""
        return np.dtype(np.float16) if self.dtype == "fp16" else np.dtype(np.float32)


class MemberLayout(BaseModel):
    """One member, and its stretch of every vector unless the index has a PCA."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    """Name of the member's curvature file and prefix of the gradients that clients send."""
    checkpoint: int
    """Position in the Task's checkpoints."""
    mask_seed: int | None = None
    """Seed of the member's dropout mask."""
    adapter: int | None = None
    """Position in the checkpoint's LoRA adapters."""
    weight: float | None = Field(default=None, gt=0)
    """Weight of the member's scores, relative to the others. Null where all weigh the same."""
    width: int = Field(ge=1)
    """Numbers in the member's stretch. With a PCA, of its feature before the PCA."""
    scale_exponent: int = 0
    """A stored number is the feature's times 2 to this power, chosen by the writer."""


class RotationLayout(BaseModel):
    """The one stretch of every vector that all members share, in an index with a PCA."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(ge=1)
    """Numbers of a vector."""
    scale_exponent: int = 0
    """A stored number is the feature's times 2 to this power, chosen by the writer."""


Stretch = MemberLayout | RotationLayout
"""Numbers of a vector that have one scale: a member's, or all of an index with a PCA."""


class GroupRecord(BaseModel):
    """The groups that the rows of an index stand for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    options: GroupOptions
    """Options that made the groups."""
    points: int = Field(ge=1)
    """Training points in all groups."""
    owners_apart: bool
    """True where no group mixes owners. Only then are owners' shares known."""


class ProbeRecord(BaseModel):
    """What the Task's code, and all that it reads, yielded when the index was built."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: Mapping[int, str]
    """Row -> first 16 hexadecimal characters of the digest of the item there."""
    row: int
    """Row of the values."""
    values: Mapping[str, float]
    """The loss, and every target negated, of the first member, to four digits."""
    precision: Literal["float32", "bfloat16"]
    """Precision of the passes."""


class TaskRecord(BaseModel):
    """The Task that the index was built from. The index answers gradients and features without it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str | None
    """`path/to/file.py:function`, the path relative to the index directory, or `package.module:function`. Null for a
    Task that was declared in memory."""
    digest: str
    """SHA-256 of the Task's source or declarations, as `byline.loading.task_file.LoadedTask` has it."""
    name: str
    """The Task's own name."""
    probe: ProbeRecord | None = None
    """What the Task yields on a few training points."""


def stretch_slices(stretches: Sequence[Stretch]) -> tuple[slice, ...]:
    """Compute the slice of each stretch in a vector."""
    ends = np.cumsum([stretch.width for stretch in stretches]).tolist()
    return tuple(slice(end - stretch.width, end) for end, stretch in zip(ends, stretches, strict=True))


def scale_exponents(stretches: Sequence[Stretch]) -> NDArray[np.int32]:
    """Exponent of every number of a vector, int32 [K]."""
    return np.repeat(
        np.array([stretch.scale_exponent for stretch in stretches], dtype=np.int32),
        [stretch.width for stretch in stretches],
    )
