"""The pictures of docs/dashboards.md: `python -m examples.pictures`, after `make demo`.

Serves real indexes with a data folder of its own, asks them, books the answers over three made-up months, drafts and
posts a run for each, and takes every page in Chromium, light and dark.
"""

import asyncio
import secrets
import shutil
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Self
from unittest.mock import patch
from urllib.parse import urlencode

import httpx
import typer
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser, sync_playwright

from byline.attribution import Attributor
from service.access import managing
from service.access.scopes import Scope
from service.app import create_app
from service.database import Database, migrating
from service.database.engine import sqlite_url
from service.repositories import usage
from service.repositories.audit import OPERATOR
from service.repositories.usage import UsageOf, Used
from service.settings import Settings

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
    index: Annotated[
        list[Path] | None, typer.Option(help="Index directories; the first takes texts.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the pictures go.")] = ROOT / "docs" / "images",
) -> None:
    """Serve, ask, book, and take the pictures."""
    found = index or [
        path for name in ("index", "openmoji/index") if (path := ROOT / ".demo" / name).is_dir()
    ]
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), secret=SECRET, log_level="error")
        attributors = {each.name: each for each in map(Attributor.open, found)}
        keys = asyncio.run(accounts(settings))
        clocks = (
            patch(f"service.{module}.datetime", Clock)
            for module in ("repositories.journal", "bookkeeping.runs")
        )
        with next(clocks), next(clocks), serving(create_app(settings, attributors)) as address:
            queries = seed(address, keys, next(iter(attributors)))
            photograph(address, keys["operator"], list(attributors), queries[3], out)


async def accounts(settings: Settings) -> dict[str, str]:
    """Make the database, a key for each person, and a month of usage."""
    database = Database(sqlite_url(settings.data_dir / "byline.sqlite"))
    await migrating.upgrade(database)
    keys = {}
    async with database.begin() as transaction:
        for person, scopes in PEOPLE.items():
            wanted = managing.Wanted(
                name="demo", person=person, scopes=frozenset(map(Scope, scopes)), owners=None
            )
            made = await managing.create(transaction, OPERATOR, wanted, SECRET.encode())
            keys[person] = made.text
            await usage.add(transaction, month_of_usage(made.id, len(keys)))
    await database.dispose()
    return keys


def month_of_usage(key_id: str, weight: int) -> dict[UsageOf, Used]:
    """Made-up sums: more on working days, more for some keys than for others."""
    today = datetime.now(UTC).date()
    found = {}
    for back in range(1, 31):
        day = today - timedelta(days=back)
        queries = (37 * back % 23 + 20) * (3 if day.weekday() < 5 else 1) * (6 if weight == 3 else weight)
        found[UsageOf(day, key_id, "code-lm")] = Used(queries // 2 + 1, queries, 61.0 * queries)
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


def seed(address: str, keys: dict[str, str], index: str) -> list[str]:
    """Ask, book, draft, approve and post, as people would.

    Returns:
        Texts that the index can be asked.
    """
    rights, finance, admin = (
        caller(address, keys[name]) for name in ("Ada, rights team", "Grace, finance", "operator")
    )
    texts = texts_of(rights, index)
    policy = {"name": "answers-2026", "currency": "EUR", "pool": 1_250_000, "floor": 500, "confidence": 0.9}
    Clock.ahead = timedelta(days=-30 * MONTHS)  # time in the ledger never goes back
    send(admin, "/v1/policies", policy)
    for month in range(MONTHS):
        Clock.ahead = timedelta(days=30 * (month - MONTHS))
        for text in texts[month * EVENTS : (month + 1) * EVENTS]:
            send(rights, f"/v1/indexes/{index}/events", {"query": {"text": text}})
        run = send(rights, "/v1/statement-runs", {"draft": {"kind": "allocation", "policy": policy["name"]}})
        send(finance, f"/v1/statement-runs/{run['id']}/approve")
        send(finance, f"/v1/statement-runs/{run['id']}/post")
    Clock.ahead = timedelta()
    send(rights, f"/v1/indexes/{index}/events", {"query": {"text": texts[-1]}})
    send(rights, "/v1/statement-runs", {"draft": {"kind": "allocation", "policy": policy["name"]}})
    for text in texts:
        rights.post(f"/v1/indexes/{index}/attributions", json={"query": {"text": text}, "shares": True})
    for wrong in ({"query": {"text": ""}}, {"query": 1}, {}):
        rights.post(f"/v1/indexes/{index}/attributions", json=wrong)
    rights.get("/v1/audit")
    return texts


def texts_of(client: httpx.Client, index: str) -> list[str]:
    """Beginnings of training points, spread over the index."""
    found = client.get(f"/v1/indexes/{index}/examples", params={"limit": 1000}).json()["examples"]
    previews = [each["example"]["preview"] for each in found if len(each["example"]["preview"] or "") > 60]
    return [text[:160].rsplit("\n", 1)[0] or text[:160] for text in previews[:: len(previews) // 30]]


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


def photograph(address: str, key: str, indexes: Sequence[str], text: str, out: Path) -> None:
    """Take every page, light and dark."""
    asked = urlencode(
        {"index": indexes[0], "query": f'{{"text": {httpx.Response(200, json=text).text}}}', "k": 5}
    )
    pages = {
        "ask": f"/?{asked}",
        "index": f"/indexes/{indexes[-1]}",
        "compensation": "/compensation",
        "usage": "/usage",
    }
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for scheme in ("light", "dark"):
            take(browser, address, key, scheme == "dark", {out / name: path for name, path in pages.items()})
        browser.close()


def take(browser: Browser, address: str, key: str, dark: bool, pages: dict[Path, str]) -> None:  # noqa: FBT001 - one scheme or the other
    """Take pages in one scheme; dark ones are named so."""
    context = browser.new_context(
        color_scheme="dark" if dark else "light", viewport={"width": 1280, "height": 940}, base_url=address
    )
    page = context.new_page()
    page.goto(f"/login#key={key}")
    page.wait_for_url(f"{address}/")
    for file, path in pages.items():
        page.set_viewport_size({"width": 1280, "height": HEIGHTS.get(file.name, 940)})
        page.goto(path, wait_until="networkidle")
        target = file.with_name(f"{file.name}{'-dark' if dark else ''}.png")
        page.screenshot(path=target)
        typer.echo(f"{target}: {target.stat().st_size // 1000} kB")
    context.close()


if __name__ == "__main__":
    typer.run(main)
