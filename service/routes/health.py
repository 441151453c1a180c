"""For orchestrators and monitoring."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from byline.errors import Overloaded
from service.problems import declared
from service.schemas import Health
from service.served import Service

router = APIRouter(tags=["Health"])
PROMETHEUS = "text/plain; version=1.0.0; charset=utf-8"


@router.head("/livez", include_in_schema=False)
@router.get("/livez", operation_id="livez")
async def livez() -> Health:
    """Whether the process lives; depends on nothing else."""
    return Health(status="ok")


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", operation_id="readyz", responses=declared(503))
async def readyz(request: Request) -> Health:
    """Whether to send requests: every index is verified and answered a first query."""
    service: Service = request.app.state.service
    if service.admission.closed:
        raise Overloaded("the service is shutting down")
    if not service.ready:
        raise Overloaded("the first queries are still being answered")
    return Health(status="ready")


@router.get(
    "/metrics",
    operation_id="metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    """Counters and histograms in Prometheus' text format."""
    service: Service = request.app.state.service
    return Response(service.metrics.text(), media_type=PROMETHEUS)
