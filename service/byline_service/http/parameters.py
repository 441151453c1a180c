"""Query parameters: one that an operation does not have is refused, since a misspelt filter would silently not apply."""

from collections.abc import Iterator
from typing import Any

from fastapi import Request
from pydantic import BaseModel

from byline.errors import InvalidQuery


def require_known_parameters(request: Request) -> None:
    """Check that the operation of a request has each of its query parameters.

    Raises:
        InvalidQuery: The operation does not have one. Its name is not repeated: the client invented it.
    """
    if not request.query_params:
        return
    known = _names(request.scope["route"])
    unknown = sum(name not in known for name in request.query_params)
    if unknown:
        has = f"of {', '.join(sorted(known))}" if known else "for this operation, which has none"
        raise InvalidQuery(f"expected query parameters {has}, got {unknown} unknown")


def _names(route: Any) -> frozenset[str]:
    return frozenset(_declared(route.dependant))


def _declared(dependant: Any) -> Iterator[str]:
    for field in dependant.query_params:
        kind = field.field_info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from (info.alias or name for name, info in kind.model_fields.items())
        else:
            yield field.alias
    for each in dependant.dependencies:
        yield from _declared(each)
