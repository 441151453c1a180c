"""The fingerprint of an index: another recipe, weight, example, Task or setting gives another name.

A version's directory is named by its fingerprint, so an index of something else is never found in its
place, and a build that would give the same bytes finds the finished one.
"""

from collections.abc import Mapping, Sequence
from typing import Self

from pydantic import BaseModel, ConfigDict, JsonValue

from byline.index.canonical_json import canonical_digest
from byline.index.layout import SCHEMA_VERSION, StorageOptions
from byline.recipes import Recipe

VERSION_LENGTH = 12
"""Characters of the fingerprint that name a version."""
METHOD_REVISION = 4
"""Raised by every release in which the same inputs give other stored numbers: a corrected loss, projection or
curvature. An index of another revision is built anew and not opened, since queries would not fit it."""


class Fingerprint(BaseModel):
    """Digests of all that determines an index's bytes, 64 hexadecimal characters each, and the method's revision."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str
    """Digest of every field of the recipe."""
    weights: tuple[str, ...]
    """Digests of each checkpoint's tensors, in the Task's order."""
    data: str
    """Digest of every training item and its metadata, in order."""
    task: str
    """The source that declares the Task: losses, targets, collation; the modules beside it that it imports."""
    storage: str
    """Digest of the storage and search options."""
    revision: int = 1
    """`METHOD_REVISION` of the release that computed the numbers."""
    build: str
    """Digest of the numerics of the build: block and batch sizes, threads, the sample that a curvature was fitted on."""

    @classmethod
    def of(
        cls,
        *,
        recipe: Recipe,
        weights: Sequence[str],
        data: str,
        task: str,
        storage: StorageOptions,
        build: Mapping[str, JsonValue],
    ) -> Self:
        """Hash the parts.

        Args:
            recipe: The method.
            weights: Digest of each checkpoint.
            data: Digest of the training set.
            task: Digest of the Task's source.
            storage: Options of the index.
            build: Settings that bits depend on. No times, paths or host names.

        Returns:
            The fingerprint.
        """
        return cls(
            recipe=canonical_digest(recipe.model_dump(mode="json")),
            weights=tuple(weights),
            data=data,
            task=task,
            storage=canonical_digest(storage.model_dump(mode="json")),
            build=canonical_digest(dict(build)),
            revision=METHOD_REVISION,
        )

    @property
    def hex(self) -> str:
        """All parts, and the directory's format, in one digest of 64 hexadecimal characters."""
        return canonical_digest({**self.model_dump(mode="json"), "schema_version": SCHEMA_VERSION})

    @property
    def version(self) -> str:
        """The name of the version that this fingerprint belongs to."""
        return self.hex[:VERSION_LENGTH]
