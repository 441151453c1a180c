"""Name -> the version that is served under it. Swapped on the event loop; read from any thread."""

from collections.abc import Mapping
from types import MappingProxyType
from weakref import WeakSet

from starlette.types import Scope

from byline.attribution.attributor import Attributor
from byline.errors import NotFound
from byline_service.versions.served_version import ServedVersion


class Registry:
    """What is served now.

    Args:
        served: Versions by the names that they are served under.
    """

    def __init__(self, served: Mapping[str, ServedVersion]) -> None:
        self._served: Mapping[str, ServedVersion] = MappingProxyType(dict(served))
        self._alive: WeakSet[Attributor] = WeakSet(each.attributor for each in served.values())
        self.swaps = 0
        """How often a name was given another version, or taken away."""

    @property
    def served(self) -> Mapping[str, ServedVersion]:
        """All of them, as they are at this moment."""
        return self._served

    @property
    def loaded(self) -> int:
        """Versions in memory: those that are served, and old ones that a request has not finished with."""
        return len(self._alive)

    def current(self, name: str) -> ServedVersion:
        """Find the version behind a name.

        Raises:
            NotFound: Nothing is served under it.
        """
        served = self._served
        if name not in served:
            raise NotFound(f"expected one of the indexes {', '.join(served)}, got another name")
        return served[name]

    def pin(self, scope: Scope, name: str) -> ServedVersion:
        """Return the version that a request began with, whatever is switched while it runs.

        Args:
            scope: The ASGI scope of the request; it keeps the version.
            name: The index or alias.

        Raises:
            NotFound: Nothing is served under the name.
        """
        pinned: dict[str, ServedVersion] = scope.setdefault("state", {}).setdefault("versions", {})
        if name not in pinned:
            pinned[name] = self.current(name)
        return pinned[name]

    def loaded_as(self, index: str, version: str) -> ServedVersion | None:
        """Find a version that another name serves already: two names share one."""
        for each in self._served.values():
            if (each.attributor.name, each.version) == (index, version):
                return each
        return None

    def swap(self, name: str, version: ServedVersion) -> None:
        """Serve another version under a name: one assignment, so that a request sees the old or the new one."""
        self._alive.add(version.attributor)
        self._served = MappingProxyType({**self._served, name: version})
        self.swaps += 1

    def remove(self, name: str) -> None:
        """Serve nothing under a name any more."""
        self._served = MappingProxyType({n: v for n, v in self._served.items() if n != name})
        self.swaps += 1
