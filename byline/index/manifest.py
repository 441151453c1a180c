"""The manifest: the description of an index, and the size and SHA-256 of every file. Written last.

It holds no time and no host name, and of paths only the Task file's, relative to the index directory: so the
same build in folders that lie alike gives the same bytes, wherever these are. The file is the canonical JSON of
`{"content": …, "sha256": digest of the canonical JSON of content}`: one flipped byte anywhere is found.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from byline.errors import CorruptIndex, IncompatibleIndex, NotFound
from byline.gradients.outer_products.blocks import Block
from byline.gradients.report import ParameterReport
from byline.index.canonical_json import canonical_digest, canonical_json
from byline.index.durable import durable_file
from byline.index.fingerprint import Fingerprint
from byline.index.layout import (
    MANIFEST,
    SCHEMA_VERSION,
    GroupRecord,
    MemberLayout,
    RotationLayout,
    StorageOptions,
    Stretch,
    TaskRecord,
)


class FileRecord(BaseModel):
    """One file of the index."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(ge=0)
    """Bytes."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the whole file."""


class RecallRecord(BaseModel):
    """Recall of compressed search for one kind of query, at both ends of the ranking."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    """`training rows`, `random`, `orthogonal to the mean row`, or `target NAME`: real queries attributed by it."""
    rankings: int
    """Rankings that were measured, two for each query."""
    recall_at_10: float
    """Mean recall of answers, whose candidates are widened for each query."""
    recall_at_least: float
    """Mean recall less two standard errors, for answers whose own bound says nothing."""
    plain_recall_at_10: float
    """Mean recall with `rescore_factor` candidates for each result, as plain FAISS finds them."""
    scanned: float
    """Fraction of the rankings that needed an exact scan."""


class SearchRecord(BaseModel):
    """Search of `search.faiss`, and measurements from its build."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_norm: float = Field(ge=0)
    """Length of the longest stored row: bounds the rounding error of a float32 score."""
    rescore_factor: int | None = None
    """Candidates for each result by plain FAISS: what `k_factor` of the file says, so that it finds .999 of the best ten
    for rows and real queries; None where there are no codes or no rows to rescore by."""
    first_factor: int | None = None
    """Candidates for each result that an answer begins with. None where there are no codes."""
    recall_at_10: float | None = None
    """The lowest of `recall`. None without codes."""
    recall: tuple[RecallRecord, ...] = ()
    """Recall by kind of query, measured when the index was built. Empty without codes."""

    @property
    def recall_at_least(self) -> float:
        """Recall of the worst kind, less two standard errors. 1 without codes."""
        return min((record.recall_at_least for record in self.recall), default=1.0)


class Manifest(BaseModel):
    """The description of an index."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[3] = SCHEMA_VERSION
    """Version of the directory's format."""
    fingerprint: Fingerprint
    """Digests of everything that the index was built from."""
    recipe: Mapping[str, JsonValue]
    """The method, as `Recipe.model_dump`."""
    task: TaskRecord
    """Reference, digest and name of the Task."""
    rows: int = Field(ge=1)
    """Training points, or groups of them."""
    groups: GroupRecord | None = None
    """Groups that the rows stand for. Null where rows are training points."""
    blocks: tuple[Block, ...] = Field(min_length=1)
    """Parameters that were attributed, as the matrices that gradients are projected by."""
    parameters: ParameterReport
    """Attributed, frozen and unused parameters of those selected."""
    members: tuple[MemberLayout, ...] = Field(min_length=1)
    """The ensemble, in the order of the stretches of a vector."""
    rotation: RotationLayout | None = None
    """The one stretch of an index with a PCA. None where every member has its own."""
    storage: StorageOptions
    """Storage of the vectors."""
    search: SearchRecord
    """Search of the vectors, and what was measured about it."""
    build: Mapping[str, JsonValue]
    """Settings of the build that bits depend on."""
    libraries: Mapping[str, str]
    """Versions of the libraries that wrote the bytes."""
    files: Mapping[str, FileRecord]
    """Every file but this one, by path relative to the manifest."""

    @property
    def width(self) -> int:
        """K, the numbers of a vector."""
        return sum(stretch.width for stretch in self.stretches)

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """Parts of a vector, each with a scale of its own."""
        return self.members if self.rotation is None else (self.rotation,)

    @property
    def digest(self) -> str:
        """Names exactly these bytes: what a quality card beside the index refers to."""
        return canonical_digest(self.model_dump(mode="json"))


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write the manifest, which makes the directory a complete index."""
    content = manifest.model_dump(mode="json")
    with durable_file(directory / MANIFEST) as file:
        file.write(canonical_json({"content": content, "sha256": canonical_digest(content)}))


def read_manifest(directory: Path) -> Manifest:
    """Read and check a manifest.

    Args:
        directory: A version's directory.

    Returns:
        The manifest, byte for byte what was written.

    Raises:
        NotFound: There is no index there.
        CorruptIndex: The file was changed.
        IncompatibleIndex: It is of another schema version, or has fields that this release does not know.
    """
    path = directory / MANIFEST
    if not directory.is_dir():
        raise NotFound(f"expected an index directory at {directory}, found none")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CorruptIndex(f"{path}: cannot be read ({error.strerror}): the index is incomplete") from error
    content = _checked_content(path, data)
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise IncompatibleIndex(f"{path}: {_other_schema(version)}")
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        fields = _fields(error.errors())
        raise IncompatibleIndex(f"{path}: this release cannot read the fields {fields}: rebuild") from error


def _other_schema(version: object) -> str:
    """Describe an index of another schema and say the way out."""
    if not isinstance(version, int):
        return (
            f"expected schema version {SCHEMA_VERSION}, found a manifest without one: build the index again"
        )
    found = f"expected schema version {SCHEMA_VERSION}, got {version}, which"
    if version < SCHEMA_VERSION:
        return f"{found} an older Byline wrote: build the index again"
    return f"{found} a newer Byline wrote: update Byline, or build the index again"


def _checked_content(path: Path, data: bytes) -> dict[str, Any]:
    try:
        outer = json.loads(data)
        intact = (
            set(outer) == {"content", "sha256"}
            and outer["sha256"] == canonical_digest(outer["content"])
            and canonical_json(outer) == data
            and isinstance(outer["content"], dict)
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise CorruptIndex(f"{path}: is not a manifest: restore or rebuild the index") from error
    if not intact:
        raise CorruptIndex(f"{path}: differs from its own SHA-256: restore or rebuild the index")
    content: dict[str, Any] = outer["content"]
    return content


def _fields(errors: Sequence[Any]) -> str:
    return ", ".join(sorted({".".join(map(str, error["loc"])) for error in errors}))
