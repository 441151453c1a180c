"""A task that is cancelled ends its stream."""

import asyncio

import pytest

from byline.client import AsyncClient
from tests.service.keys import admin_key
from tests.service.live import until


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
