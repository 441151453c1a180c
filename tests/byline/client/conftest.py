"""Both clients behind one face, so that every test is run by each of them."""

import asyncio
import inspect
import shutil
from pathlib import Path

import httpx
import pytest

from byline.attribution.attributor import Attributor
from byline.client import (
    AsyncClient,
    Client,
    Retries,
)
from byline_indexer.build.build import build
from byline_indexer.config import load_config
from byline_service.app import create_app
from tests.service.conftest import ledger_clock, serve, served  # noqa: F401
from tests.service.fakes import fake_attributor
from tests.service.keys import admin_key, prepared
from tests.service.live import listening

TINY = Path(__file__).parents[2] / "indexer" / "tiny_task.py"


class Twin:
    """A client whose methods are called; those of the awaiting one run in a loop of its own."""

    def __init__(self, kind, url, key=None, *, transport=None, **options):
        self._runner = asyncio.Runner() if kind == "awaiting" else None
        if self._runner:
            http = httpx.AsyncClient(transport=transport) if transport else None
            self._client = AsyncClient(url, key, http=http, **options)
        else:
            http = httpx.Client(transport=transport) if transport else None
            self._client = Client(url, key, http=http, **options)
        self._http = http

    def __getattr__(self, name):
        method = getattr(self._client, name)

        def call(*args, **options):
            made = method(*args, **options)
            if inspect.isasyncgen(made):
                return self._each(made)
            return self._runner.run(made) if inspect.iscoroutine(made) else made

        return call

    def _each(self, generator):
        while True:
            try:
                yield self._runner.run(anext(generator))
            except StopAsyncIteration:
                return

    def end(self):
        ended = self._client.close()
        if self._runner:
            self._runner.run(ended)
            if self._http:
                self._runner.run(self._http.aclose())
            self._runner.close()
        elif self._http:
            self._http.close()


@pytest.fixture(params=["blocking", "awaiting"])
def twin(request):
    """Makes a client.

    Yields:
        The function that makes one.
    """
    made = []

    def make(url="http://service.test", key=None, **options):
        made.append(Twin(request.param, url, key, **options))
        return made[-1]

    yield make
    for each in made:
        each.end()


@pytest.fixture(scope="package")
def attributors(tmp_path_factory):
    """Real indexes: an ensemble of masks and checkpoints, one checkpoint, groups."""
    folder = tmp_path_factory.mktemp("client")
    shutil.copy(TINY, folder / "tiny_task.py")
    members = {"ensemble": "masks = 2", "tiny": "checkpoints = [1]", "groups": "checkpoints = [0]"}
    for name, plan in members.items():
        groups = '[groups]\nby = "owner"\n' if name == "groups" else ""
        (folder / f"{name}.toml").write_text(
            'task = "tiny_task.py:task"\n[recipe]\nname = "ekfac"\n[recipe.projection]\nsize = 24\n'
            f'[recipe.members]\n{plan}\n{groups}[index]\npath = "{name}"\n'
        )
        build(load_config(folder / f"{name}.toml"))
    return {name: Attributor.open(folder / name, name=name) for name in members}


@pytest.fixture(scope="package")
def service_url(attributors, tmp_path_factory):
    """A service over the indexes on loopback.

    Yields:
        Its address.
    """
    with listening(create_app(prepared(tmp_path_factory.mktemp("data")), attributors)) as url:
        yield url


@pytest.fixture
def client(twin, service_url):
    return twin(service_url, admin_key())


PAUSE = Retries(first_seconds=1.0, longest_seconds=4.0, total_seconds=60.0)


@pytest.fixture
def pauses(monkeypatch):
    """Seconds of the pauses, which take no time."""
    taken = []

    async def sleep(seconds):
        if seconds:
            taken.append(seconds)

    monkeypatch.setattr("byline.client.synchronous.time.sleep", taken.append)
    monkeypatch.setattr("byline.client.asynchronous.anyio.sleep", sleep)
    monkeypatch.setattr("byline.client.retries.random.random", lambda: 0.0)
    return taken


@pytest.fixture
def scripted(twin):
    """A client whose requests are answered by a script."""

    def make(*script, **options):
        left, requests = list(script), []

        def answer(request):
            requests.append((request, request.content))
            step = left.pop(0)
            if isinstance(step, Exception):
                raise step
            return step

        def answer_now(request):
            request.read()
            return answer(request)

        async def answer_awaited(request):
            await request.aread()
            return answer(request)

        made = twin(transport=_Transport(answer_now, answer_awaited), **{"retries": PAUSE, **options})
        return made, requests

    return make


class _Transport(httpx.MockTransport):
    def __init__(self, answer, answer_awaited):
        super().__init__(answer)
        self._awaited = answer_awaited

    async def handle_async_request(self, request):
        return await self._awaited(request)


@pytest.fixture
def held(tmp_path, monkeypatch):
    """A service whose compute thread is held up.

    Yields:
        Its address, and the application.
    """
    monkeypatch.setattr("byline_service.attributions.streaming.EventSender.interval", 0.02)
    attributor, featurizer = fake_attributor()
    app = create_app(prepared(tmp_path), {"fake": attributor})
    with listening(app) as url:
        featurizer.gate.clear()
        yield url, app
        featurizer.gate.set()
