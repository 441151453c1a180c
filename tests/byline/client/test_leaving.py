"""Whoever leaves in the middle ends what is computed for them; and a body that is refused early says why."""

import asyncio

import pytest
import torch

from byline.client import NEVER, AsyncClient, TooLarge, Unauthorized, Unreachable
from byline_service.app import create_app
from tests.service.fakes import fake_attributor
from tests.service.keys import admin_key, prepared
from tests.service.live import listening, until


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


class LeftError(Exception):
    """What the caller's own function raised."""


def leave(progress):
    raise LeftError


def test_what_a_callers_function_raises_ends_the_stream(twin, held):
    url, app = held
    with pytest.raises(LeftError):
        twin(url, admin_key()).attribute("fake", {"text": "x"}, on_progress=leave)
    until(lambda: app.state.service.admission.cost == 0)


@pytest.mark.parametrize("streamed", [True, False])
def test_a_task_that_is_cancelled_ends_the_stream(held, streamed):
    url, app = held

    async def cancelled():
        async with AsyncClient(url, admin_key()) as client:
            options = {"on_progress": lambda _: None} if streamed else {}
            task = asyncio.ensure_future(client.attribute("fake", {"text": "x"}, **options))
            while app.state.service.admission.cost == 0:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancelled())
    until(lambda: app.state.service.admission.cost == 0)


def test_large_bodies_that_are_refused_unread(twin, held):
    """The refusal may be lost with the connection; the error then says what it can have been."""
    url, _ = held
    tensors = {"c0-m0/w": torch.zeros(1 << 21)}
    with pytest.raises((TooLarge, Unreachable), match=r"at most \d+ bytes|8,388,\d+ bytes unread"):
        twin(url, admin_key(), retries=NEVER).attribute_tensors("fake", tensors)
    with pytest.raises((Unauthorized, Unreachable), match="key"):
        twin(url, "byl_nonsense", retries=NEVER).attribute_tensors("fake", tensors)
