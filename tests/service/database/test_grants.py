"""The service's role on PostgreSQL: it does all of the service's work, and changes no row that is only ever added."""

import psycopg
import pytest
from typer.testing import CliRunner

from byline.__main__ import compose
from byline.errors import InvalidInput
from byline_service.database.engine import database_url
from byline_service.database.grants import require_two_roles
from byline_service.database.tables import APPEND_ONLY, metadata
from byline_service.ledger import run_workflow
from tests.service.books import Books
from tests.service.conftest import client_without_key
from tests.service.databases import UsedDatabase
from tests.service.keys import add_admin, sign_in
from tests.service.keys import admin_key as admin

ROLE, PASSWORD = "byline_service", "it's a password"
SCORES = {"ash": (30, 31, 29), "birch": (60, 55, 62)}


@pytest.fixture(scope="module")
def split(postgres):
    """A database that `byline migrate` migrated as its owner, for a role of the service.

    Yields:
        URLs of the owner and of the role.
    """
    name = postgres.fresh()
    owner = postgres.url(name)
    runtime = owner.replace("//byline@", f"//{ROLE}:{PASSWORD.replace(' ', '%20')}@")
    variables = {"BYLINE_MIGRATION_DATABASE_URL": owner, "BYLINE_DATABASE_URL": runtime}
    for said in ("from an empty database", "nothing to do"):
        done = CliRunner().invoke(compose(), ["migrate"], env=variables)
        assert done.exit_code == 0, done.output
        assert said in done.output
        assert f"The role {ROLE} has the rights of the service." in done.output
    yield owner, runtime
    postgres.drop(name)
    postgres.execute(f"DROP ROLE {ROLE}")


def test_the_service_does_its_work_as_its_role(split, serve, ledger_clock):
    admin()  # made in a loop of its own
    used = UsedDatabase(split[1])
    books = Books(used, ledger_clock)
    used.run(add_admin)
    books.policy()
    books.book(SCORES)
    run_id = books.draft()
    books.posted(run_id)
    books.posted(books.do(run_workflow.reverse, run_id, "a mistake").id)
    assert books.verify().findings == []
    served = serve(database_url=split[1], admin=False)
    client = client_without_key(served.client)
    assert sign_in(client, admin()).status_code == 204
    assert client.get("/readyz").status_code == 200
    made = served.client.post("/v1/keys", json={"name": "x", "person": "ada", "scopes": ["read"]})
    assert made.status_code == 201, made.text
    assert served.client.post(f"/v1/keys/{made.json()['id']}/rotate", json={}).status_code == 201
    assert served.client.delete(f"/v1/keys/{made.json()['id']}").status_code == 204
    assert client.get("/usage.csv").status_code == 200
    assert client.post("/logout", headers={"origin": "http://localhost"}).status_code == 204
    served.client.portal.call(_maintained, served.app.state.service)
    assert books.verify().findings == []
    used.close()


async def _maintained(service):
    from byline_service.maintenance import forget, write

    await write(service)
    assert await forget(service.database)


@pytest.mark.parametrize("table", [table.name for table in APPEND_ONLY])
def test_no_row_that_is_only_added_can_be_changed(split, table):
    first = next(iter(metadata.tables[table].columns)).name
    for statement in (
        f"UPDATE {table} SET {first} = {first}",
        f"DELETE FROM {table}",
        f"TRUNCATE {table} CASCADE",
        f"ALTER TABLE {table} DISABLE TRIGGER ALL",
        f"DROP TRIGGER {table}_append_only ON {table}",
        f"CREATE OR REPLACE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
        f"CREATE TRIGGER more BEFORE INSERT ON {table} EXECUTE FUNCTION {table}_append_only()",
        f"CREATE RULE more AS ON INSERT TO {table} DO INSTEAD NOTHING",
        f"ALTER TABLE {table} OWNER TO {ROLE}",
        f"DROP TABLE {table} CASCADE",
    ):
        _refused(split[1], statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SET session_replication_role = replica",
        "UPDATE alembic_version SET version_num = 'x'",
        "SET ROLE byline",
        f"ALTER ROLE {ROLE} SUPERUSER",
    ],
)
def test_the_role_gets_no_further_rights(split, statement):
    _refused(split[1], statement)


def _refused(url, statement):
    with (
        psycopg.connect(url, autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


@pytest.mark.parametrize(
    ("migrator", "runtime", "said"),
    [
        ("postgresql://a@h/x", "postgresql://a:b@h/x", "two roles"),
        ("postgresql://a@h/x", "postgresql://b@h/y", "one database"),
        ("postgresql://a@h/x", "sqlite:///x", "another kind"),
        ("postgresql://a@h/x", "postgresql:///x", "another kind"),
    ],
)
def test_one_role_is_refused(migrator, runtime, said):
    with pytest.raises(InvalidInput, match=said):
        require_two_roles(database_url(migrator), database_url(runtime))


def test_a_role_that_could_get_around_its_rights_is_refused(split, postgres):
    postgres.execute("CREATE ROLE strong SUPERUSER LOGIN")
    variables = {
        "BYLINE_MIGRATION_DATABASE_URL": split[0],
        "BYLINE_DATABASE_URL": split[0].replace("//byline@", "//strong@"),
    }
    done = CliRunner().invoke(compose(), ["migrate"], env=variables)
    postgres.execute("DROP ROLE strong")
    assert "without rights of its own" in str(done.exception)
