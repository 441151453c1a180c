"""Rendering of templates. Values are escaped as text, and all scripts and styles come from this server."""

import json
from typing import Any

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from byline.api.quality_card import figure
from byline_service.pages import formats, navigation
from byline_service.pages.glossary import GLOSSARY

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
    """Render a page.

    Args:
        request: The request of the page.
        template: File name of the template.
        here: Name of the page in `navigation`. None for a page outside the bar.
        status: HTTP status of the answer.
        **values: Values of the template.

    Returns:
        The page. Browsers do not store it.
    """
    caller = request.scope.get("state", {}).get("caller")
    written = _TEMPLATES.get_template(template).render(
        version=request.app.version,
        here=here,
        definitions=GLOSSARY,
        caller=caller,
        navigation=navigation.entries(caller),
        may=navigation.Permissions.of(caller),
        **values,
    )
    return HTMLResponse(written, status_code=status, headers={"Cache-Control": "no-store"})
