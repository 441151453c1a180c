"""Names of the served indexes, for the pages of consents and rights."""

from fastapi import Request

from byline_service.state import AppState


def served_indexes(request: Request) -> list[str]:
    """Return the names of the served indexes, sorted. Aliases are left out.

    Args:
        request: The request of a page.
    """
    service: AppState = request.app.state.service
    return sorted({service.own_name(name) for name in service.attributors})
