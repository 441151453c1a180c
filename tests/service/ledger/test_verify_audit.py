"""The audit log is chained: a line that is changed, taken out or put in is found, and so are aliases and keys beside it."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from byline.api.accounts import Scope
from byline_service.accounts import audit, key_management
from byline_service.accounts.audit import OPERATOR
from byline_service.accounts.scopes import Caller
from byline_service.database.migrations.append_only import sqlite_trigger
from byline_service.versions import transactions
from byline_service.versions.records import VersionFacts
from byline_service.versions.transactions import Expected
from tests.service.keys import SECRET

ADA = Caller(key_id="k" * 12, person="ada", scopes=frozenset({Scope.ADMIN}))
FREE = {
    "sqlite": [f"DROP TRIGGER {{}}_no_{verb}" for verb in ("update", "delete")],
    "postgresql": ["ALTER TABLE {} DISABLE TRIGGER {}_append_only"],
}
HELD = {
    "sqlite": [sqlite_trigger("{0}", verb) for verb in ("UPDATE", "DELETE")],
    "postgresql": ["ALTER TABLE {} ENABLE TRIGGER {}_append_only"],
}


@pytest.fixture
def logged(books):
    """Books with three keys, an alias with a history, and a deleted alias."""

    async def keys(transaction):
        for name in ("a", "b"):
            wanted = key_management.NewKey(name=name, person=name, scopes=frozenset({Scope.READ}))
            made = await key_management.create(transaction, ADA, wanted, SECRET.encode())
        await key_management.rotate(transaction, OPERATOR, made.id, SECRET.encode(), timedelta(hours=1))
        await key_management.revoke(transaction, ADA, made.id)

    books.used.booked(keys)

    async def aliases(database):
        one, two = (VersionFacts(index="fake", version=each, manifest_digest=each * 64) for each in "12")
        await transactions.adopt(database, ADA, one)
        await transactions.register(database, ADA, two)
        await transactions.mark_verified(database, ADA, two)
        found = await transactions.switch(database, ADA, "live", one, Expected(version=None, revision=None))
        found = await transactions.switch(
            database, ADA, "live", two, Expected(version="1", revision=found.revision)
        )
        await transactions.roll_back(database, ADA, "live", Expected(version="2", revision=found.revision))
        found = await transactions.switch(database, ADA, "old", two, Expected(version=None, revision=None))
        await transactions.delete(database, ADA, "old", Expected(version="2", revision=found.revision))

    books.used.run(aliases)
    assert books.verify().findings == []
    return books


def change(books, table, statement):
    """Change rows as the database's owner can, and put the triggers back."""
    kind = books.used.kind

    async def work(transaction):
        for each in (*FREE[kind], statement, *HELD[kind]):
            await transaction.execute(text(each.format(table, table)))

    books.used.booked(work)


def found(books):
    return sorted({each.where.split(" ")[0] for each in books.verify().findings})


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {} SET person = 'grace' WHERE id = 3",
        "UPDATE {} SET key_id = NULL WHERE id = 2",
        "UPDATE {} SET action = 'keys.look' WHERE id = 3",
        "UPDATE {} SET subject = 'x' WHERE id = 3",
        "UPDATE {} SET details = '{{}}' WHERE id = 2",
        "UPDATE {} SET at = '2001-01-01 00:00:00' WHERE id = 3",
        "UPDATE {} SET hash = 'x' WHERE id = 3",
        "UPDATE {} SET id = 1000 WHERE id = 3",
        "DELETE FROM {} WHERE id = 3",
        "INSERT INTO {} SELECT 1000, at, key_id, person, action, subject, details, hash FROM {} WHERE id = 3",
    ],
)
def test_a_changed_log(logged, statement):
    change(logged, "audit", statement)
    assert "audit" in found(logged)


def test_a_cut_log_is_found_by_its_noted_head(logged):
    noted = logged.heads()
    logged.used.booked(audit.record, ADA, "x", "y")
    assert logged.verify_heads(noted) == []
    change(logged, "audit", "DELETE FROM {} WHERE id >= (SELECT MAX(id) - 1 FROM {})")
    assert [each.where for each in logged.verify_heads(noted)] == [f"audit {noted[-1].sequence}", "alias old"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE aliases SET version = '2' WHERE alias = 'live'",
        "UPDATE aliases SET revision = 1 WHERE alias = 'live'",
        "UPDATE aliases SET previous = NULL WHERE alias = 'live'",
        "DELETE FROM aliases WHERE alias = 'live'",
        (
            "INSERT INTO aliases SELECT 'old', index_name, version, previous, revision, changed_at FROM aliases "
            "WHERE alias = 'live'"
        ),
    ],
)
def test_an_alias_beside_its_history(logged, statement):
    async def work(transaction):
        await transaction.execute(text(statement))

    logged.used.booked(work)
    assert found(logged) == ["alias"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {} SET version = '2' WHERE alias = 'fake'",
        "DELETE FROM {} WHERE alias = 'old'",
        "UPDATE {} SET person = 'grace' WHERE alias = 'live'",
        "UPDATE {} SET action = 'create' WHERE alias = 'old'",
    ],
)
def test_a_changed_history_of_an_alias(logged, statement):
    change(logged, "alias_changes", statement)
    assert found(logged) == ["alias"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE keys SET id = 'xxxxxxxxxxxx' WHERE replaces IS NOT NULL",
        "UPDATE keys SET made_by = 'grace' WHERE replaces IS NULL",
        "UPDATE keys SET made_by_key = NULL WHERE made_by = 'ada'",
        (
            "INSERT INTO keys (id, name, person, digest, scopes, created_at) "
            "SELECT 'xxxxxxxxxxxx', name, person, digest, scopes, created_at FROM keys WHERE replaces IS NOT NULL"
        ),
    ],
)
def test_a_key_that_nobody_made_or_another_one(logged, statement):
    async def work(transaction):
        await transaction.execute(text(statement))

    logged.used.booked(work)
    assert found(logged) == ["key"]
