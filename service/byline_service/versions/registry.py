"""The registry of served versions, by name. It changes on the event loop and is read from any thread."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from weakref import WeakSet

from starlette.types import Scope

from byline.attribution.attributor import Attributor
from byline.errors import CorruptIndex, NotFound, UnusableIndex
from byline_service.versions.served_version import ServedVersion


class Registry:
    """Served versions by name.

    Args:
        served: The first versions.
    """

    def __init__(self, served: Mapping[str, ServedVersion]) -> None:
        self._served: Mapping[str, ServedVersion] = MappingProxyType(dict(served))
        self._alive: WeakSet[Attributor] = WeakSet(each.attributor for each in served.values())
        self.on_damaged: Callable[[ServedVersion, str], None] = lambda *_: None
        """Called with a served version and the reason if a request finds one of its files cut off."""
        self._taken_out: frozenset[str] = frozenset()
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

    @property
    def taken_out(self) -> frozenset[str]:
        """Return the names whose version was damaged while it was served, and that serve no other one yet."""
        return self._taken_out

    def current(self, name: str) -> ServedVersion:
        """Return the version behind a name.

        Raises:
            NotFound: Nothing is served under the name.
            UnusableIndex: The version behind the name was damaged while it was served.
        """
        served = self._served
        if name in self._taken_out:
            raise UnusableIndex(
                "expected an index whose bytes are as they were built, got one whose bytes have changed: restore and "
                "verify the version, or switch to another one"
            )
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
            CorruptIndex: A file of the version was cut off.
        """
        pinned: dict[str, ServedVersion] = scope.setdefault("state", {}).setdefault("versions", {})
        if name not in pinned:
            pinned[name] = self.current(name)
        try:
            pinned[name].require_whole()
        except CorruptIndex as error:
            self.on_damaged(pinned[name], str(error))
            raise
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
        self._taken_out -= {name}
        self.swaps += 1

    def take_out(self, name: str) -> None:
        """Stop serving a name whose version is damaged. Its requests are told so."""
        self.remove(name)
        self._taken_out |= {name}

    def remove(self, name: str) -> None:
        """Stop serving a name."""
        self._taken_out -= {name}
        self._served = MappingProxyType({n: v for n, v in self._served.items() if n != name})
        self.swaps += 1
