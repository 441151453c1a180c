"""One version of an index, opened: all that a request needs of it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from byline.attribution.attributor import Attributor
from byline.errors import InvalidQuery
from byline_service.http.bodies import tensors_limit
from byline_service.versions.catalogue import Catalogue
from byline_service.versions.records import VersionFacts


@dataclass(frozen=True, eq=False)
class ServedVersion:
    """An opened version. It never changes; a request that began with it ends with it.

    Nobody closes it: what it holds (memory maps, models, the examples' file) goes with the last reference, which is
    the last request's once another version has taken its place.
    """

    attributor: Attributor
    """Answers questions."""
    version: str
    """The name of its directory."""
    folder: Path | None = None
    """Its directory; None where it does not lie in one."""

    @classmethod
    def of(cls, attributor: Attributor) -> "ServedVersion":
        """Wrap an index that was opened elsewhere, named as its manifest names it."""
        return cls(attributor, attributor.index.version)

    @property
    def facts(self) -> VersionFacts:
        """What identifies it in the database."""
        index = self.attributor.index
        return VersionFacts(
            index=self.attributor.name,
            version=self.version,
            manifest_digest=index.manifest.digest,
            recipe=index.recipe.name,
            recipe_fingerprint=index.fingerprint.recipe,
        )

    @cached_property
    def catalogue(self) -> Catalogue:
        """Its lists."""
        return Catalogue(self.attributor.index)

    @cached_property
    def gradient_bytes(self) -> int | None:
        """Largest gradient body; None where it takes no gradients."""
        try:
            return tensors_limit(self.attributor.expected_gradients())
        except InvalidQuery:
            return None
