"""Calls that have one effect across repeated attempts."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict, TypeVar

from pydantic import BaseModel

from byline.client.calls import Body, Call, JsonBody, document, path_of

D = TypeVar("D", bound=BaseModel)


class Once(TypedDict):
    """The identity of a call across repeated attempts."""

    idempotency_key: NotRequired[str]
    """Idempotency key of up to 200 printable ASCII characters. The client makes a new one by default."""


def once(
    *path: str,
    document_of: type[D],
    how: Mapping[str, Any],
    body: Body | None = None,
    query: Sequence[tuple[str, str]] = (),
) -> Call[D]:
    """Make a call that has one effect. Its key lets the client repeat it safely.

    Args:
        path: Parts of the path.
        document_of: Model of the answer.
        how: Idempotency key.
        body: Body of the request.
        query: Query parameters.
    """
    return Call(
        method="POST",
        path=path_of(*path),
        read=document(document_of),
        query=query,
        body=body,
        headers={"Idempotency-Key": how.get("idempotency_key") or secrets.token_hex(16)},
        repeatable=True,
    )


def sent(body: BaseModel) -> JsonBody:
    """Write the fields of a model that were set as a JSON body."""
    return JsonBody.of(body.model_dump(mode="json", exclude_unset=True))
