"""Migrations on both databases: there and back, nothing lost, and the tables that the code has."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select
from sqlalchemy.exc import DBAPIError

from byline.errors import DatabaseUnavailable, InvalidInput
from byline_service.accounts import audit
from byline_service.database import migrate
from byline_service.database.engine import sqlite_url
from byline_service.database.tables import metadata
from tests.service.database.sample_rows import ADDED, SAMPLES, insert_samples, read_samples
from tests.service.databases import UsedDatabase


def tables(used):
    async def names(database):
        async with database.read() as connection:
            return await connection.run_sync(lambda c: set(inspect(c).get_table_names()))

    return used.run(names)


def test_one_linear_history():
    scripts = ScriptDirectory.from_config(migrate._config())
    assert scripts.get_bases() == ["0001_accounts"]
    assert scripts.get_heads() == [migrate.head()]
    numbers = [name[:4] for name in migrate.revisions()]
    assert numbers == sorted(set(numbers))


def test_up_down_up(empty_database):
    assert empty_database.run(migrate.current) is None
    with pytest.raises(DatabaseUnavailable, match="run `byline migrate`"):
        empty_database.run(migrate.require_migrated)
    empty_database.run(migrate.upgrade)
    assert tables(empty_database) == {*metadata.tables, "alembic_version"}
    for revision in [*reversed(migrate.revisions()[:-1]), "base"]:
        empty_database.run(lambda database, to=revision: migrate.downgrade(database, to))
    assert tables(empty_database) == {"alembic_version"}
    empty_database.run(migrate.upgrade)
    empty_database.run(migrate.require_migrated)


def test_a_database_of_a_newer_release_is_refused_and_left_as_it_is(empty_database):
    empty_database.run(migrate.upgrade)

    async def from_the_future(transaction):
        await transaction.exec_driver_sql("UPDATE alembic_version SET version_num = '9999_future'")

    empty_database.booked(from_the_future)
    with pytest.raises(InvalidInput, match="a newer one migrated it"):
        empty_database.run(migrate.upgrade)
    with pytest.raises(DatabaseUnavailable, match="a newer one migrated it"):
        empty_database.run(migrate.require_migrated)
    assert empty_database.run(migrate.current) == "9999_future"


def test_a_damaged_file_is_named_as_that(tmp_path):
    (tmp_path / "byline.sqlite").write_bytes(b"no database" * 500)
    used = UsedDatabase(sqlite_url(tmp_path / "byline.sqlite"))
    for work in (migrate.upgrade, migrate.require_migrated):
        with pytest.raises(DatabaseUnavailable, match="restore it from a backup"):
            used.run(work)
    used.close()


def test_the_migrated_tables_are_those_of_the_code(empty_database):
    empty_database.run(migrate.upgrade)

    async def differences(database):
        async with database.read() as connection:
            return await connection.run_sync(
                lambda c: compare_metadata(
                    MigrationContext.configure(c, opts={"compare_type": True}), metadata
                )
            )

    assert empty_database.run(differences) == []


def test_every_revision_has_sample_rows():
    assert set(SAMPLES) == set(migrate.revisions()), "add rows of your tables to sample_rows.py"


def test_rows_of_each_revision_outlive_the_upgrade_from_it(empty_database):
    """Also step by step: rows are written at each revision, and all are there at the newest."""
    for revision in migrate.revisions():
        empty_database.run(lambda database, to=revision: migrate.upgrade(database, to))
        empty_database.run(lambda database, at=revision: insert_samples(database, at))
    empty_database.run(migrate.upgrade)
    for revision in migrate.revisions():
        assert empty_database.run(lambda database, at=revision: read_samples(database, at)) == {
            table: len(rows) + ADDED.get(table, 0) for table, rows in SAMPLES[revision].items()
        }


def test_an_interrupted_migration_changes_nothing(empty_database, monkeypatch):
    async def fails(self, connection):
        raise RuntimeError("interrupted")

    with monkeypatch.context() as patched:
        patched.setattr("byline_service.database.engine.Database._check_foreign_keys", fails)
        with pytest.raises(RuntimeError):
            empty_database.run(migrate.upgrade)
    assert tables(empty_database) == set()
    empty_database.run(migrate.upgrade)


@pytest.mark.parametrize("statement", ["UPDATE audit SET person = 'x'", "DELETE FROM audit"])
def test_the_database_itself_keeps_the_audit_log(database, statement):
    database.booked(audit.record, audit.OPERATOR, "keys.create", "a")

    async def change(transaction):
        await transaction.exec_driver_sql(statement)

    with pytest.raises(DBAPIError, match="append-only"):
        database.booked(change)

    async def read(transaction):
        return (await transaction.execute(select(metadata.tables["audit"].c.person))).scalars().all()

    assert database.booked(read) == ["operator"]
