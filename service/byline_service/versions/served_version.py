"""An opened version of an index."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from byline.attribution.attributor import Attributor
from byline.errors import InvalidQuery
from byline_service.http.bodies import tensors_limit
from byline_service.versions.catalogue import Catalogue
from byline_service.versions.mapped_files import MappedFiles
from byline_service.versions.query_size import most_numbers
from byline_service.versions.records import VersionFacts


@dataclass(frozen=True, eq=False)
class ServedVersion:
    """An opened version. It never changes. A request ends with the version that it began with.

    No method closes it. Its memory maps, models and files are released with the last reference, which is that of the last
    request after another version has replaced it.
    """

    attributor: Attributor
    """Answers attribution requests."""
    version: str
    """Name of the version's directory."""
    folder: Path | None = None
    """Directory of the version. None if it has none."""

    @classmethod
    def of(cls, attributor: Attributor) -> "ServedVersion":
        """Wrap an index that was opened elsewhere. Its manifest names the version."""
        return cls(attributor, attributor.index.version)

    @property
    def facts(self) -> VersionFacts:
        """Return what identifies the version in the database."""
        index = self.attributor.index
        return VersionFacts(
            index=self.attributor.name,
            version=self.version,
            manifest_digest=index.manifest.digest,
            recipe=index.recipe.name,
            recipe_fingerprint=index.fingerprint.recipe,
        )

    @cached_property
    def mapped_files(self) -> MappedFiles | None:
        """Return the files that are mapped into memory. None for a version without a directory."""
        return None if self.folder is None else MappedFiles(self.folder, self.attributor.index.manifest.files)

    def require_whole(self) -> None:
        """Require that no file of the version was cut off while it is served.

        Raises:
            CorruptIndex: A file is shorter than the manifest says.
        """
        if self.mapped_files is not None:
            self.mapped_files.require_whole()

    @cached_property
    def catalogue(self) -> Catalogue:
        """Return the sorted lists of the index."""
        return Catalogue(self.attributor.index)

    @cached_property
    def query_numbers(self) -> int:
        """Return the most numbers that a query of the Task holds, such as an image's pixels. 0 without a Task."""
        task = self.attributor.task
        return 0 if task is None or task.query is None else most_numbers(task.query.payload)

    @cached_property
    def gradient_bytes(self) -> int | None:
        """Return the largest gradient body in bytes. None if the index takes no gradients."""
        try:
            return tensors_limit(self.attributor.expected_gradients())
        except InvalidQuery:
            return None
