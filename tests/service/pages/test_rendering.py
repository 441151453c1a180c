"""Pages are rendered with untrusted values as text, and browsers do not store them."""

from types import SimpleNamespace

import pytest
from jinja2 import UndefinedError
from starlette.requests import Request

from byline_service.pages.rendering import page

REQUEST = Request({"type": "http", "app": SimpleNamespace(version="9.9")})


def test_untrusted_values_are_text():
    answer = page(
        REQUEST, "error.html", here=None, status=404, title="<script>", detail="<b>", request_id="7"
    )
    body = bytes(answer.body).decode()
    assert answer.status_code == 404
    assert answer.headers["cache-control"] == "no-store"
    assert "&lt;script&gt;" in body
    assert "<b>" not in body


def test_a_template_gets_every_value():
    with pytest.raises(UndefinedError):
        page(REQUEST, "error.html", here=None)
