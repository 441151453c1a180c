"""One version of an index, opened: all that a request needs of it."""

from dataclasses import dataclass
from functools import cached_property

from byline.attribution import Attributor
from byline.errors import InvalidQuery
from service.bodies import tensors_limit
from service.catalogue import Catalogue


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

    @classmethod
    def of(cls, attributor: Attributor) -> "ServedVersion":
        """Wrap an index that was opened elsewhere, named as its manifest names it."""
        return cls(attributor, attributor.index.version)

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
