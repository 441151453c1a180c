"""Thumbnails of training points. A caller sees those of the training points that it sees."""

import asyncio
import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from byline.api.thumbnails import MEDIA_TYPE
from byline.errors import NotFound
from byline_service.api.indexes import NARROWED, visible_example
from byline_service.http.problems import problem_responses
from byline_service.state import AppState

router = APIRouter(prefix="/v1/indexes", tags=["Indexes"])
HEADERS = {
    "Cache-Control": "private, no-cache",  # kept, and compared by its ETag: another version may have another image
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Content-Disposition": "inline",
    "Vary": "Authorization, Cookie",
}
IMAGE: dict[int | str, dict[str, Any]] = {
    200: {"description": "PNG", "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get(
    "/{name}/images/{example_id:path}",
    operation_id="get_image",
    response_class=Response,
    responses=IMAGE | {304: {"description": "The caller has this image"}} | problem_responses(404, 422),
    dependencies=NARROWED,
)
async def get_image(
    request: Request,
    name: str,
    example_id: str,
    if_none_match: Annotated[
        str | None, Header(max_length=400, description="`ETag` of the image that the caller has")
    ] = None,
) -> Response:
    """Return the thumbnail of a training point: a PNG of at most 96 x 96 pixels.

    Images of works without consent are not returned. The id may hold slashes. The `ETag` is a digest of the image.
    """
    index, row, example = await asyncio.to_thread(visible_example, request, name, example_id)
    service: AppState = request.app.state.service
    served = service.versions.pin(request.scope, name).attributor
    withheld = await service.consents.withheld(served.name, index.version)
    image = index.examples.images([row]).get(row)
    if image is None or withheld.hides(example):
        raise NotFound(
            "expected an example with a thumbnail, this one has none: set Example.image in the Task"
        )
    tag = f'"{hashlib.sha256(image).hexdigest()[:32]}"'
    headers = HEADERS | {"ETag": tag}
    if if_none_match == tag:
        return Response(status_code=304, headers=headers)
    return Response(image, media_type=MEDIA_TYPE, headers=headers)
