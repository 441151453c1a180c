"""The page of one statement run."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from byline.api.statements import StatementDocument, StatementLine
from byline_service.accounts.scopes import Caller
from byline_service.api import statements
from byline_service.compensation.eligibility import EXPLANATIONS
from byline_service.compensation.runs import same_person
from byline_service.pages.compensation.choice import Reading
from byline_service.pages.compensation.comparison import figures, owner_changes
from byline_service.pages.compensation.obstacles import obstacle
from byline_service.pages.compensation.owner_charts import owner_bars
from byline_service.pages.compensation.titles import days_title, run_title
from byline_service.pages.errors import PageRoute
from byline_service.pages.rendering import page
from byline_service.state import AppState

router = APIRouter(prefix="/compensation", include_in_schema=False, route_class=PageRoute)
DRAWN_OWNERS = 15
COMPARED = 100
LISTED_CHANGES = 10


@router.get("/runs/{run}")
async def run_page(request: Request, caller: Reading, run: str) -> Response:
    """Show one run with its lines and its next steps."""
    statement = await statements.get_statement(request, caller, run)
    service: AppState = request.app.state.service
    async with service.database.read() as reading:
        hindered = await obstacle(reading, caller, statement)
    lines = sorted(statement.lines, key=lambda line: _place(statement, line))
    return page(
        request,
        "run.html",
        here="compensation",
        statement=statement,
        title=run_title(statement),
        days=days_title(statement.since, statement.until) if statement.since and statement.until else None,
        lines=lines,
        drawn=owner_bars(lines[:DRAWN_OWNERS]),
        change=await _change(request, caller, statement),
        obstacle=hindered,
        own=same_person(caller.person, statement.drafted_by),
        explanations=EXPLANATIONS,
    )


async def _change(request: Request, caller: Caller, run: StatementDocument) -> dict[str, object] | None:
    """Compare an allocation with the posted one before it. None if there is none."""
    if run.kind != "allocation" or caller.owners is not None:
        return None
    posted = (await statements.list_statements(request, caller, None, COMPARED)).data
    before = next(
        (
            each
            for each in posted
            if (each.policy, each.kind) == (run.policy, "allocation")
            and (each.period or "") < (run.period or "")
        ),
        None,
    )
    if before is None:
        return None
    other = await statements.get_statement(request, caller, before.id)
    changes = owner_changes(other, run)
    return {
        "before": other,
        "titles": (run_title(other), run_title(run)),
        "figures": figures(other, run),
        "changes": changes[:LISTED_CHANGES],
        "count": len(changes),
    }


def _place(statement: StatementDocument, line: StatementLine) -> tuple[int, str]:
    """Return the place of a line: the largest amounts first. A reversal begins with the owners who lose most."""
    total = line.payable + line.escrow + line.held + line.carried
    return total if statement.kind == "reversal" else -total, line.owner
