"""The pictures of docs/dashboards.md: `python -m examples.pictures`, after `make demo-openmoji`.

Serves the index of OpenMoji's drawings, which was measured by retraining, with a data folder of its own, asks it, books
the answers over three made-up months, drafts and posts a run for each, and takes every page in Chromium, light and dark.
"""

import asyncio
import itertools
import json
import secrets
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Self
from unittest.mock import patch

import httpx
import typer
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, sync_playwright

from byline.api.accounts import Scope
from byline.attribution.attributor import Attributor
from byline_service.accounts import key_management, usage
from byline_service.accounts.audit import OPERATOR
from byline_service.accounts.usage import UsageKey, UsageTotals
from byline_service.app import create_app
from byline_service.database import Database, migrate
from byline_service.database.engine import sqlite_url
from byline_service.settings import Settings
from examples.openmoji.demo import held_out
from examples.openmoji.task import FOLDER

ROOT = Path(__file__).resolve().parents[1]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
SECRET = secrets.token_hex()
MONTHS, EVENTS = 3, 8
INDEX, TARGET = "openmoji", "margin"
"""The target is the one that was measured: its policy asks for that."""
HEIGHTS = {"ask": 1070, "index": 1080}
"""Of pictures that need more than the others."""
PEOPLE = {
    "Ada, rights team": ("query", "read", "compensate"),
    "Grace, finance": ("approve",),
    "search": ("query", "read"),
    "operator": ("admin",),
}
"""Whose keys there are, and what they allow: whoever drafts a run is not who approves it."""


class Clock(datetime):
    """Tells the ledger another time, so that its periods are months and not seconds."""

    ahead = timedelta()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        """The time that it tells."""
        moved = datetime.now(tz) + cls.ahead
        return cls.combine(moved.date(), moved.timetz())


def main(
    folder: Annotated[Path, typer.Option(help="Where `make demo-openmoji` put everything.")] = FOLDER,
    out: Annotated[Path, typer.Option(help="Where the pictures go.")] = ROOT / "docs" / "images",
) -> None:
    """Serve, ask, book, and take the pictures."""
    queries = list(itertools.islice(held_out(folder), MONTHS * EVENTS + 1))
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as data:
        settings = Settings(data_dir=Path(data), secret=SECRET, log_level="error")
        attributor = Attributor.open(folder / "index")
        keys = asyncio.run(accounts(settings))
        app = create_app(settings, {attributor.name: attributor})
        with patch("byline_service.ledger.journal_queries.datetime", Clock), serving(app) as address:
            seed(address, keys, queries)
            photograph(address, keys["operator"], queries[7], out)


async def accounts(settings: Settings) -> dict[str, str]:
    """Make the database, a key for each person, and a month of usage."""
    database = Database(sqlite_url(settings.data_dir / "byline.sqlite"))
    await migrate.upgrade(database)
    keys = {}
    async with database.begin() as transaction:
        for person, scopes in PEOPLE.items():
            wanted = key_management.NewKey(
                name="demo", person=person, scopes=frozenset(map(Scope, scopes)), owners=None
            )
            made = await key_management.create(transaction, OPERATOR, wanted, SECRET.encode())
            keys[person] = made.text
            await usage.add(transaction, month_of_usage(made.id, len(keys)))
    await database.dispose()
    return keys


def month_of_usage(key_id: str, weight: int) -> dict[UsageKey, UsageTotals]:
    """Made-up sums: more on working days, more for some keys than for others."""
    today = datetime.now(UTC).date()
    found = {}
    for back in range(1, 31):
        day = today - timedelta(days=back)
        queries = (37 * back % 23 + 20) * (3 if day.weekday() < 5 else 1) * (6 if weight == 3 else weight)
        found[UsageKey(day, key_id, INDEX)] = UsageTotals(queries // 2 + 1, queries, 61.0 * queries)
    return found


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Serve an application on a free port.

    Yields:
        Its address.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        while not httpx.get(f"{address}/readyz", timeout=60).is_success:
            threading.Event().wait(0.2)
        yield address
    finally:
        server.should_exit = True
        thread.join()


def seed(address: str, keys: dict[str, str], queries: list[dict[str, Any]]) -> None:
    """Ask, book, draft, approve and post, as people would."""
    rights, finance, admin = (
        caller(address, keys[name]) for name in ("Ada, rights team", "Grace, finance", "operator")
    )
    policy = {
        "name": "drawings-2026",
        "currency": "EUR",
        "pool": 1_250_000,
        "floor": 500,
        "confidence": 0.95,
        "minimum_quality": {"least": 0.1},
    }
    draft = {"draft": {"kind": "allocation", "policy": policy["name"]}}
    today = datetime.now(UTC)
    starts = [today.replace(day=1)]  # of this month and the ones before
    for _ in range(MONTHS + 1):
        starts.insert(0, (starts[0] - timedelta(days=1)).replace(day=1))
    Clock.ahead = starts[0] - today  # time in the ledger never goes back
    send(admin, "/v1/policies", policy)
    for month in range(MONTHS):
        Clock.ahead = starts[month] + timedelta(days=9) - today
        for query in queries[month * EVENTS : (month + 1) * EVENTS]:
            send(rights, f"/v1/indexes/{INDEX}/events", {"query": query, "target": TARGET})
        Clock.ahead = starts[month + 1] - today
        run = send(rights, "/v1/statement-runs", draft)
        send(finance, f"/v1/statement-runs/{run['id']}/approve")
        send(finance, f"/v1/statement-runs/{run['id']}/post")
    send(rights, f"/v1/indexes/{INDEX}/events", {"query": queries[-1], "target": TARGET})
    Clock.ahead = timedelta()
    send(rights, "/v1/statement-runs", draft)
    for query in queries:
        rights.post(f"/v1/indexes/{INDEX}/attributions", json={"query": query, "shares": True})
    for wrong in ({"query": {"image": []}}, {"query": 1}, {}):
        rights.post(f"/v1/indexes/{INDEX}/attributions", json=wrong)
    rights.get("/v1/audit")


def caller(address: str, key: str) -> httpx.Client:
    """A client of one person."""
    return httpx.Client(base_url=address, headers={"authorization": f"Bearer {key}"}, timeout=60)


def send(client: httpx.Client, path: str, body: object = None) -> dict[str, str]:
    """Make a change once, and hold that it was made."""
    response = client.post(path, json=body, headers={"Idempotency-Key": secrets.token_hex(16)})
    if response.is_error:
        raise SystemExit(f"{path}: {response.text}")
    made: dict[str, str] = response.json()
    return made


def photograph(address: str, key: str, query: dict[str, Any], out: Path) -> None:
    """Take every page, light and dark."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for scheme in ("light", "dark"):
            take(browser, address, key, scheme == "dark", query, out)
        browser.close()


def take(browser: Browser, address: str, key: str, dark: bool, query: dict[str, Any], out: Path) -> None:  # noqa: FBT001 - one scheme or the other
    """Take the pages in one scheme; dark ones are named so."""
    context = browser.new_context(
        color_scheme="dark" if dark else "light", viewport={"width": 1280, "height": 940}, base_url=address
    )
    page = context.new_page()
    page.goto(f"/login#key={key}")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/login" not in url)
    pages = {
        "ask": f"/?index={INDEX}&k=5&target={TARGET}",
        "index": f"/indexes/{INDEX}",
        "compensation": "/compensation",
        "usage": "/usage",
    }
    for name, path in pages.items():
        page.set_viewport_size({"width": 1280, "height": HEIGHTS.get(name, 940)})
        page.goto(path, wait_until="networkidle")
        if name == "ask":
            ask(page, query)
        target = out / f"{name}{'-dark' if dark else ''}.png"
        page.screenshot(path=target)
        typer.echo(f"{target}: {target.stat().st_size // 1000} kB")
    context.close()


def ask(page: Page, query: dict[str, Any]) -> None:
    """Fill the form in as a person would: a picture is too long for a link."""
    page.get_by_label("Image", exact=True).fill(json.dumps(query["image"]))
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator(".card").first.wait_for()
    page.mouse.move(0, 0)


if __name__ == "__main__":
    typer.run(main)
