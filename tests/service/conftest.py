from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

from service.app import create_app
from tests.service.accounts import admin_key, bearer, make_key, prepared
from tests.service.fakes import fake_attributor


@pytest.fixture
def serve(tmp_path):
    """Starts an application over a fake index; more settings and indexes can be given.

    Its `client` carries an admin key. `key_for(scopes=["read"], owners=["owner 1"])` makes another one and returns
    its text; `bearer(key)` of `tests.service.accounts` is the header that shows it.

    Yields:
        The function that starts one.
    """
    running = []

    def start(attributors=None, **settings):
        attributor, featurizer = fake_attributor()
        folder = tmp_path / f"data-{len(running)}"
        app = create_app(prepared(folder, **settings), attributors or {"fake": attributor})
        client = TestClient(
            app, base_url="http://localhost", raise_server_exceptions=False, headers=bearer(admin_key())
        )
        client.__enter__()
        running.append(client)
        client.portal.call(_warmed, app.state.service)

        def key_for(**wanted):
            return client.portal.call(lambda: make_key(app.state.service.database, **wanted))

        return SimpleNamespace(
            client=client, attributor=attributor, featurizer=featurizer, app=app, key_for=key_for
        )

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
