from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.service.fakes import fake_attributor


@pytest.fixture
def serve():
    """Starts an application over a fake index; more settings and indexes can be given.

    Yields:
        The function that starts one.
    """
    running = []

    def start(attributors=None, **settings):
        attributor, featurizer = fake_attributor()
        app = create_app(Settings(**settings), attributors or {"fake": attributor})
        client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
        client.__enter__()
        running.append(client)
        client.portal.call(_warmed, app.state.service)
        return SimpleNamespace(client=client, attributor=attributor, featurizer=featurizer, app=app)

    yield start
    for client in running:
        client.__exit__(None, None, None)


async def _warmed(service):
    import asyncio

    async with asyncio.timeout(10):  # an index that cannot be warmed must not hold the tests for ever
        while not service.ready:
            await asyncio.sleep(0.005)


@pytest.fixture
def served(serve):
    return serve()
