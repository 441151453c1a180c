"""Triggers that keep rows as they are: each must be there with its body, and no other one."""

import pytest
from sqlalchemy import text

from byline_service.database.tables import APPEND_ONLY, metadata

SQLITE = {
    "missing": ["DROP TRIGGER audit_no_update"],
    "another body": [
        "DROP TRIGGER audit_no_delete",
        "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT 1; END",
    ],
    "never fires": [
        "DROP TRIGGER journal_no_update",
        (
            "CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal WHEN 0 "
            "BEGIN SELECT RAISE(ABORT, 'journal is append-only'); END"
        ),
    ],
    "one more": ["CREATE TRIGGER more AFTER INSERT ON journal BEGIN DELETE FROM aliases; END"],
    "one on a table that changes": [
        "CREATE TRIGGER more AFTER INSERT ON usage BEGIN DELETE FROM aliases; END"
    ],
}
POSTGRESQL = {
    "missing": ["DROP TRIGGER audit_append_only ON audit"],
    "disabled": ["ALTER TABLE journal DISABLE TRIGGER journal_append_only"],
    "another body": [
        (
            "CREATE OR REPLACE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN RETURN NULL; END$$"
        )
    ],
    "not for truncation": [
        "DROP TRIGGER audit_append_only ON audit",
        (
            "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()"
        ),
    ],
    "never fires": [
        "DROP TRIGGER audit_append_only ON audit",
        (
            "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
            "FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION audit_append_only()"
        ),
    ],
    "one more": [
        "CREATE TRIGGER more BEFORE INSERT ON journal FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()"
    ],
    "a rule": ["CREATE RULE more AS ON INSERT TO audit DO INSTEAD NOTHING"],
}


def changed(books, statements):
    async def work(transaction):
        for each in statements:
            await transaction.execute(text(each))

    books.used.booked(work)
    return books.verify().findings


@pytest.mark.parametrize("kind", sorted(SQLITE))
def test_changed_triggers_of_sqlite(sqlite_books, kind):
    assert sqlite_books.verify().findings == []
    assert len(changed(sqlite_books, SQLITE[kind])) == (2 if len(SQLITE[kind]) == 2 else 1)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("kind", sorted(POSTGRESQL))
def test_changed_triggers_of_postgresql(books, kind):
    assert books.verify().findings == []
    assert changed(books, POSTGRESQL[kind])


def test_every_table_that_refuses_changes_is_verified(sqlite_books):
    async def guarded(database):
        async with database.read() as reading:
            found = await reading.execute(text("SELECT tbl_name FROM sqlite_master WHERE type = 'trigger'"))
            return {row.tbl_name for row in found}

    assert sqlite_books.used.run(guarded) == {table.name for table in APPEND_ONLY}
    assert {table.name for table in APPEND_ONLY} < set(metadata.tables)
