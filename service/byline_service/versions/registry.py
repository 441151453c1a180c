"""The registry of served versions, by name. It changes on the event loop and is read from any thread."""

from collections.abc import Mapping
from types import MappingProxyType
from weakref import WeakSet

from starlette.types import Scope

from byline.attribution.attributor import Attributor
from byline.errors import NotFound
from byline_service.versions.served_version import ServedVersion


class Registry:
    """Served versions by name.

    Args:
        served: The first versions.
    """

    def __init__(self, served: Mapping[str, ServedVersion]) -> None:
        self._served: Mapping[str, ServedVersion] = MappingProxyType(dict(served))
        self._alive: WeakSet[Attributor] = WeakSet(each.attributor for each in served.values())
        self.swaps = 0
        """Number of changes: names that got another version or were removed."""

    @property
    def served(self) -> Mapping[str, ServedVersion]:
        """Return all served versions, as an immutable mapping."""
        return self._served

    @property
    def loaded(self) -> int:
        """Return the number of versions in memory: the served ones, and old ones that requests still use."""
        return len(self._alive)

    def current(self, name: str) -> ServedVersion:
        """Return the version behind a name.

        Raises:
            NotFound: Nothing is served under the name.
        """
        served = self._served
        if name not in served:
            raise NotFound(f"expected one of the indexes {', '.join(served)}, got another name")
        return served[name]

    def pin(self, scope: Scope, name: str) -> ServedVersion:
        """Return the version that a request began with, whatever is switched while it runs.

        Args:
            scope: The ASGI scope of the request. It keeps the version.
            name: The index or alias.

        Raises:
            NotFound: Nothing is served under the name.
        """
        pinned: dict[str, ServedVersion] = scope.setdefault("state", {}).setdefault("versions", {})
        if name not in pinned:
            pinned[name] = self.current(name)
        return pinned[name]

    def loaded_as(self, index: str, version: str) -> ServedVersion | None:
        """Return a version that is served under another name already: two names share one."""
        for each in self._served.values():
            if (each.attributor.name, each.version) == (index, version):
                return each
        return None

    def swap(self, name: str, version: ServedVersion) -> None:
        """Serve another version under a name, by one assignment: a request sees either the old or the new one."""
        self._alive.add(version.attributor)
        self._served = MappingProxyType({**self._served, name: version})
        self.swaps += 1

    def remove(self, name: str) -> None:
        """Stop serving a name."""
        self._served = MappingProxyType({n: v for n, v in self._served.items() if n != name})
        self.swaps += 1
