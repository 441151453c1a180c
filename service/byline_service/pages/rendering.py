"""Templates to HTML. All that a page loads comes from this server; what it shows is text until a template says else."""

import json
from typing import Any

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from byline.api.quality_card import figure
from byline_service.pages import formats, navigation

_TEMPLATES = Environment(
    loader=PackageLoader("byline_service"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {
    "code": formats.code,
    "json": json.dumps,
    "number": formats.number,
    "percent": formats.percent,
    "money": formats.money,
    "plain_amount": formats.plain_amount,
    "short": formats.short,
    "moment": formats.moment,
    "stamp": formats.stamp,
    "day": formats.day,
    "figure": figure,
}


def page(
    request: Request, template: str, *, here: str | None, status: int = 200, **values: Any
) -> HTMLResponse:
    """Write a page.

    Args:
        request: Whom it is for.
        template: Its file.
        here: Its name in `navigation`; None where it is not in the bar.
        status: Of the answer.
        **values: What the template shows.

    Returns:
        The page; browsers do not keep it.
    """
    caller = request.scope.get("state", {}).get("caller")
    written = _TEMPLATES.get_template(template).render(
        version=request.app.version,
        here=here,
        caller=caller,
        navigation=navigation.entries(caller),
        may=navigation.Offered.to(caller),
        **values,
    )
    return HTMLResponse(written, status_code=status, headers={"Cache-Control": "no-store"})
