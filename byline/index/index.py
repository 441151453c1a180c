"""An index on disk, opened: checked, read-only, memory-mapped."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import Tensor

from byline.errors import CorruptIndex, IncompatibleIndex, NotFound
from byline.groups import GroupPartition
from byline.index import faiss_file
from byline.index.codes import FIRST_FACTOR, Codes
from byline.index.examples import ExampleStore
from byline.index.fingerprint import METHOD_REVISION, Fingerprint
from byline.index.layout import (
    CODE_CENTRE,
    CODE_LOSSES,
    CURRENT,
    DIGEST_CACHE,
    EXAMPLES,
    GROUP_ENDS,
    GROUP_MEMBERS,
    ITEM_DIGESTS,
    MANIFEST,
    OWNER_ROWS,
    OWNER_SUMS,
    ROW_WEIGHTS,
    SEARCH,
    SELF_INFLUENCE,
    MemberLayout,
    curvature_file,
    shard_file,
    stretch_slices,
)
from byline.index.manifest import Manifest, read_manifest
from byline.index.owners import Owners
from byline.index.publishing import current_version
from byline.index.quality_card import CardReading, read_card
from byline.index.vectors import RowSource, Segment, VectorRows, require_features, unscale_features
from byline.index.verification import DigestCache, require_intact
from byline.paths import local_path
from byline.recipes import Recipe


class AttributionIndex:
    """An immutable, checksummed directory that can be searched. Make one with `open`."""

    def __init__(self, path: Path, manifest: Manifest):
        self.path = path
        """The version's directory."""
        self.manifest = manifest
        """The checked manifest."""
        self.quality: CardReading = read_card(path, manifest)
        """The quality card beside the version, as it was last read."""
        self.slices = stretch_slices(manifest.stretches)
        """Position of each stretch in a vector: one for each member, or a single one with a PCA."""
        self.examples = ExampleStore(path / EXAMPLES)
        """The rows' metadata."""
        self.search_file = faiss_file.SearchFile(path / SEARCH)
        """The FAISS index."""
        self.row_source: RowSource = self._open_rows()
        """Vectors that scores are computed from: stored rows, or decoded codes where nothing else is kept."""
        self.self_influence: NDArray[np.float64] = _column(path / SELF_INFLUENCE, (manifest.rows,))
        """Score of each training point with itself, float64 [R]."""
        self.row_weights: NDArray[np.float64] | None = (
            _column(path / ROW_WEIGHTS, (manifest.rows,)) if ROW_WEIGHTS in manifest.files else None
        )
        """Weights that are multiplied into the stored vectors, float64 [R]. None for ones."""
        self.item_digests: NDArray[np.uint64] | None = (
            _column(path / ITEM_DIGESTS, (manifest.rows,)) if ITEM_DIGESTS in manifest.files else None
        )
        """Digests of the training points (`byline.digests.short_digest`), uint64 [R]. None for groups."""
        self.groups = self._open_groups()
        """Training points of each group. None where rows are training points."""
        self.owners = self._open_owners()
        """Owners of the rows and the sums of their vectors."""
        if self.search_file.shape != (manifest.rows, manifest.width) or self.examples.rows != manifest.rows:
            raise CorruptIndex(f"{path}: the files do not have the manifest's {manifest.rows} rows")

    @classmethod
    def open(cls, path: Path | str, *, verify: bool = True, digest_cache: Path | None = None) -> Self:
        """Open an index and check it.

        Args:
            path: A version's directory, or an index directory: then its current version.
            verify: Compare the SHA-256 of every file. False compares names and sizes only.
            digest_cache: File that remembers digests. None takes `.digests.json` in the index directory, or
                no file for a version that lies alone.

        Returns:
            The opened index.

        Raises:
            NotFound: There is no index there.
            CorruptIndex: A file is missing, besides, truncated or changed. The message names it.
            IncompatibleIndex: It was written by another version of the format, or computed by another revision
                of the method.
        """
        version = find_version(Path(path))
        manifest = read_manifest(version)
        _check_revision(version, manifest)
        parent = version.absolute().parent
        if digest_cache is None and (parent / CURRENT).is_file():
            digest_cache = parent / DIGEST_CACHE
        require_intact(version, manifest, DigestCache(digest_cache) if verify else None)
        return cls(version, manifest)

    def read_quality(self) -> CardReading:
        """Read the quality card again: `byline evaluate` may have written one since the index was opened."""
        self.quality = read_card(self.path, self.manifest)
        return self.quality

    def close(self) -> None:
        """Close what is open. Memory maps go with the last array that uses them."""
        self.examples.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @cached_property
    def version(self) -> str:
        """Name of the version: the beginning of its fingerprint."""
        return self.fingerprint.version

    @property
    def fingerprint(self) -> Fingerprint:
        """Digests of everything that the index was built from."""
        return self.manifest.fingerprint

    @property
    def rows(self) -> int:
        """R, the number of training points, or of groups."""
        return self.manifest.rows

    @property
    def points(self) -> int:
        """Training points that the rows stand for."""
        return self.rows if self.manifest.groups is None else self.manifest.groups.points

    def points_of(self, rows: NDArray[np.int64]) -> int:
        """Count the training points that some rows stand for."""
        return len(rows) if self.groups is None else int(self.groups.sizes[rows].sum())

    def _open_groups(self) -> GroupPartition | None:
        record = self.manifest.groups
        if record is None:
            return None
        return GroupPartition(
            _column(self.path / GROUP_MEMBERS, (record.points,)),
            _column(self.path / GROUP_ENDS, (self.rows,)),
        )

    @property
    def width(self) -> int:
        """K, the numbers of a vector."""
        return self.manifest.width

    @property
    def members(self) -> tuple[MemberLayout, ...]:
        """In the order of the stretches of a vector."""
        return self.manifest.members

    @property
    def exact(self) -> bool:
        """Whether scores come from stored rows. False where only compressed codes are kept."""
        return self.manifest.storage.exact

    @cached_property
    def recipe(self) -> Recipe:
        """The method.

        Raises:
            IncompatibleIndex: This release does not know the recipe's parts.
        """
        try:
            return Recipe.model_validate(dict(self.manifest.recipe))
        except ValidationError as error:
            raise IncompatibleIndex(
                f"{self.path / MANIFEST}: this release does not know its recipe: rebuild"
            ) from error

    @property
    def vectors(self) -> VectorRows:
        """The stored rows.

        Raises:
            NotFound: The index keeps compressed codes only.
        """
        if not isinstance(self.row_source, VectorRows):
            raise NotFound(
                "this index keeps compressed codes only: build with storage.keep = 'rows' to read rows"
            )
        return self.row_source

    def states(self, member: str) -> Mapping[str, Tensor]:
        """Read a member's fitted state.

        Raises:
            NotFound: The index has no such member.
        """
        if member not in {layout.name for layout in self.members}:
            raise NotFound(f"expected one of the {len(self.members)} members of this index, got another name")
        return load_file(self.path / curvature_file(member))

    def query_vectors(self, features_QK: Any) -> NDArray[np.float32]:
        """Divide query features by each member's scale: what plain FAISS searches `search.faiss` with.

        Args:
            features_QK: Query features, [Q, K].

        Returns:
            float32 [Q, K]. Their inner products with stored numbers are the scores.

        Raises:
            InvalidQuery: The features have another width or are not finite.
        """
        with np.errstate(over="ignore", under="ignore"):
            return unscale_features(
                require_features(features_QK, self.width), self.manifest.stretches
            ).astype(np.float32)

    def gpu_rows(self) -> faiss_file.GpuRows | None:
        """Copy the rows of an exact index to a GPU. None without one, or where they do not fit.

        Answers are the same bits either way.
        """
        storage = self.manifest.storage
        if storage.search != "exact" or not faiss_file.gpu_count():
            return None
        try:
            return faiss_file.GpuRows(
                (block_BK for _, block_BK in self.vectors.blocks()), self.width, storage.dtype
            )
        except RuntimeError:  # FAISS's, for an allocation that failed
            return None

    def _open_rows(self) -> RowSource:
        storage = self.manifest.storage
        if storage.keep == "rows":
            shards = -(-self.rows // storage.shard_rows)
            paths = [self.path / shard_file(number) for number in range(shards)]
            return VectorRows.open_shards(paths, self.width, storage, self.rows)
        if storage.search == "exact":
            offset = faiss_file.flat_offset(self.width, storage.dtype)
            return VectorRows(
                [Segment(self.path / SEARCH, offset, self.rows)], self.width, storage.stored_type
            )
        return faiss_file.DecodedCodes(self.path / SEARCH, storage.seed, self._code_centre())

    def _code_centre(self) -> NDArray[np.float32]:
        return np.array(_column(self.path / CODE_CENTRE, (self.width,)))

    def codes(self) -> Codes | None:
        """Open the codes of a compressed index. None for an exact one."""
        storage = self.manifest.storage
        if storage.search == "exact":
            return None
        return Codes(
            file=self.search_file,
            source=self.row_source,
            centre_K=self._code_centre(),
            losses_R=_column(self.path / CODE_LOSSES, (self.rows,)),
            factor=self.manifest.search.first_factor or FIRST_FACTOR,
            fixed=storage.rescore_factor is not None,
            decoded=storage.keep == "codes",
            measured=self.manifest.search.recall_at_least,
        )

    def _open_owners(self) -> Owners:
        names = tuple(name for name, _, _ in self.examples.owners())
        return Owners(
            names,
            _column(self.path / OWNER_ROWS, (self.rows,)),
            _column(self.path / OWNER_SUMS, (len(names), self.width)),
        )


def find_version(path: Path) -> Path:
    """Follow an index directory's pointer to its current version. A version's directory stays as it is.

    Raises:
        NotFound: There is neither a manifest nor a pointer.
        InvalidInput: It is a URL.
    """
    local_path(path, "the index")
    if (path / MANIFEST).exists():
        return path
    if (path / CURRENT).exists():
        return path / current_version(path)
    if path.is_dir() and not any((path / name).exists() for name in (EXAMPLES, SEARCH)):
        raise NotFound(
            f"expected an index at {path}, found a directory with no finished version: build it first"
        )
    return path


def _check_revision(version: Path, manifest: Manifest) -> None:
    if manifest.fingerprint.revision != METHOD_REVISION:
        raise IncompatibleIndex(
            f"{version / MANIFEST}: expected numbers of the method's revision {METHOD_REVISION}, got "
            f"{manifest.fingerprint.revision}: rebuild, or use the release that wrote it"
        )


def _column(path: Path, shape: tuple[int, ...]) -> Any:
    """Map an array. Pickles are refused, as everywhere."""
    mode: Any = "r" if 0 not in shape else None
    try:
        array = np.load(path, mmap_mode=mode, allow_pickle=False)
    except ValueError as error:
        raise CorruptIndex(f"{path}: is not an array: restore or rebuild the index") from error
    if array.shape != shape:
        raise CorruptIndex(f"{path}: expected shape {list(shape)}, found {list(array.shape)}")
    return array
