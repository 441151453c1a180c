"""Limits on the size of request bodies. A gradient body may be as large as the index's gradients."""

from starlette.types import Scope

from byline_service.http.bodies import SAFETENSORS
from byline_service.settings import Settings
from byline_service.versions.registry import Registry

LOGIN_BYTES = 1024
"""Largest body of `/login`: anyone may send one."""
_NUMBER_BYTES = 32
"""Most bytes that one number of a feature or of an image takes in JSON."""


class BodyLimits:
    """Computes the largest body that a request may have.

    Args:
        settings: The limit of ordinary bodies.
        versions: The versions that are served.
    """

    def __init__(self, settings: Settings, versions: Registry) -> None:
        self._settings = settings
        self._versions = versions

    def __call__(self, scope: Scope) -> int:
        """Return the limit of one request, in bytes."""
        if scope["path"] == "/login":
            return LOGIN_BYTES
        name = _index_name(scope["path"])
        if name is None or name not in self._versions.served:
            return self._settings.body_bytes
        version = self._versions.pin(scope, name)
        if _is_gradient(scope):
            # An index that takes no gradients refuses a body of ordinary size with a message of its own.
            return version.gradient_bytes or self._settings.body_bytes
        numbers = max(version.attributor.index.width, version.query_numbers)
        return self._settings.body_bytes + numbers * _NUMBER_BYTES


def _index_name(path: str) -> str | None:
    parts = path.split("/")
    return parts[3] if parts[1:3] == ["v1", "indexes"] and len(parts) == 5 else None


def _is_gradient(scope: Scope) -> bool:
    types = [value for name, value in scope["headers"] if name == b"content-type"]
    return any(value.decode("latin-1").lower().startswith(SAFETENSORS) for value in types)
