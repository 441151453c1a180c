"""Request bodies: strict JSON and safetensors. A body that is not valid is the caller's error."""

import asyncio
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel
from pydantic_core import from_json
from safetensors import SafetensorError
from safetensors.torch import load
from starlette.exceptions import HTTPException
from torch import Tensor

from byline.api.validation import validated
from byline.errors import DeadlineExceeded, InvalidQuery

JSON = "application/json"
SAFETENSORS = "application/vnd.safetensors"
LARGEST_INTEGER = 2**63 - 1
ModelT = TypeVar("ModelT", bound=BaseModel)
REQUEST_BODIES: dict[str, type[BaseModel]] = {}
"""Models of the bodies that endpoints parse themselves, for the OpenAPI document."""


def media_type(request: Request, *accepted: str) -> str:
    """Return the content type of a body, without its parameters.

    Raises:
        HTTPException: 415, the type is not one of `accepted`.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in accepted:
        raise HTTPException(415, f"expected a body of content type {' or '.join(accepted)}")
    return given


async def read_body(request: Request, seconds: float) -> bytes:
    """Read a whole body. The middleware limits its length.

    Raises:
        DeadlineExceeded: The client did not send the body in time.
    """
    try:
        async with asyncio.timeout(seconds):
            return await request.body()
    except TimeoutError:
        raise DeadlineExceeded(f"expected the whole body within {seconds:g} seconds") from None


async def json_body(request: Request, model: type[ModelT]) -> tuple[ModelT, bytes]:
    """Read a JSON body and validate it.

    Args:
        request: The request.
        model: The model of the body.

    Returns:
        The validated body, and its raw bytes for `byline_service.idempotency.run_once`.

    Raises:
        HTTPException: 415, the content type is not JSON.
        InvalidQuery: The body does not fit the model.
        DeadlineExceeded: The body did not arrive in time.
    """
    media_type(request, JSON)
    body = await read_body(request, request.app.state.service.settings.deadline_seconds)
    return validated(model, parse_json(body), "body"), body


def request_body(model: type[BaseModel]) -> dict[str, Any]:
    """Declare the JSON body of an endpoint, for its `openapi_extra`."""
    REQUEST_BODIES[model.__name__] = model
    reference = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {JSON: {"schema": reference}}}}


def parse_json(body: bytes) -> Any:
    """Parse JSON by RFC 8259: no NaN, no lone surrogates, no number that overflows.

    Raises:
        InvalidQuery: The body is not such JSON, or is nested more than 200 levels deep.
    """
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidQuery(f"expected a JSON body: {error}") from None
    _check_numbers(value)
    return value


def _check_numbers(root: Any) -> None:
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidQuery("expected finite numbers in the JSON body, got one beyond 1.8e308")
        if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
            raise InvalidQuery("expected integers of at most 64 bits in the JSON body, got a larger one")
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def parse_tensors(body: bytes) -> Mapping[str, Tensor]:
    """Parse a safetensors body.

    Raises:
        InvalidQuery: The body is not safetensors.
    """
    try:
        tensors: dict[str, Tensor] = load(body)
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError, OverflowError):
        raise InvalidQuery(
            f"expected a safetensors body, got {len(body)} bytes in another format: write it with "
            "safetensors.torch.save"
        ) from None
    return tensors


def tensors_limit(expected: Mapping[str, tuple[int, ...]]) -> int:
    """Return the largest body of gradients in bytes: float32 numbers and the header, and 1 %."""
    numbers = sum(math.prod(shape) for shape in expected.values())
    header = sum(len(name.encode()) + 120 for name in expected) + 1024
    return math.ceil(1.01 * (4 * numbers + header))
