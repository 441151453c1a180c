"""The page that compares two runs."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from byline.errors import InvalidQuery
from byline_service.api import statements
from byline_service.pages.compensation.choice import PolicyName, Reading, choose
from byline_service.pages.compensation.comparison import figures, owner_changes
from byline_service.pages.compensation.titles import run_title
from byline_service.pages.errors import PageRoute
from byline_service.pages.rendering import page

router = APIRouter(prefix="/compensation", include_in_schema=False, route_class=PageRoute)
OFFERED = 100
LISTED = 200
RunId = Annotated[str | None, Query(max_length=64)]


@router.get("/compare")
async def compare_page(
    request: Request, caller: Reading, policy: PolicyName = None, before: RunId = None, after: RunId = None
) -> Response:
    """Show two runs side by side: the last two posted ones of a policy by default."""
    choice = await choose(request, caller, policy)
    posted = (await statements.list_statements(request, caller, None, OFFERED)).data
    own = [each for each in posted if each.policy == choice.name]
    ids = [each.id for each in own if each.kind == "allocation"]
    old = before or (ids[1] if len(ids) > 1 else None)
    new = after or (ids[0] if len(ids) > 1 else None)
    shown = {}
    if old and new:
        one = await statements.get_statement(request, caller, old)
        other = await statements.get_statement(request, caller, new)
        if one.currency != other.currency:
            raise InvalidQuery("expected two runs in one currency, got two currencies")
        changes = owner_changes(one, other)
        shown = {"one": one, "other": other, "figures": figures(one, other), "count": len(changes)}
        shown |= {"changes": changes[:LISTED], "titles": (run_title(one), run_title(other))}
    return page(
        request,
        "compare.html",
        here="compensation",
        choice=choice,
        runs=[(each.id, run_title(each)) for each in own],
        old=old,
        new=new,
        shown=shown,
    )
