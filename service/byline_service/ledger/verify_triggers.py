"""Verification of the triggers that refuse to change or delete a row: each is there, with its body, and no other is."""

from sqlalchemy import text

from byline_service.compensation.replay.ledger import Finding
from byline_service.database import Connection
from byline_service.database.migrations.append_only import VERBS, postgresql_body, sqlite_trigger
from byline_service.database.tables import APPEND_ONLY, metadata

_SQLITE = text("SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'")
_BEFORE_CHANGES = 2 + 8 + 16 + 32
"""PostgreSQL's bits of BEFORE, DELETE, UPDATE and TRUNCATE, for each statement."""
_POSTGRESQL = text(
    "SELECT t.tgname, c.relname, p.prosrc, p.proname, l.lanname, t.tgtype, t.tgenabled::text, "
    "t.tgqual IS NULL AND t.tgnargs = 0 AND p.proconfig IS NULL AND p.pronamespace = c.relnamespace "
    "FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid "
    "JOIN pg_language l ON l.oid = p.prolang "
    "WHERE NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace"
)
_RULES = text(
    "SELECT r.rulename, c.relname FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class "
    "WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace"
)
Trigger = tuple[object, ...]
"""Name, table, body and more facts, as the database stores them."""


async def trigger_findings(reading: Connection) -> list[Finding]:
    """Compare the triggers of a database with those of the migrations.

    Args:
        reading: An open transaction.
    """
    sqlite = reading.dialect.name == "sqlite"
    expected = _sqlite() if sqlite else _postgresql()
    found = {tuple(row) for row in await reading.execute(_SQLITE if sqlite else _POSTGRESQL)}
    told = "its rows can be changed: a trigger is missing or has another body"
    findings = [Finding(f"table {trigger[1]}", told) for trigger in expected if trigger not in found]
    others = sorted((str(each[0]), str(each[1])) for each in found - set(expected))
    if not sqlite:
        others += sorted((str(row[0]), str(row[1])) for row in await reading.execute(_RULES))
    ours = {table.name for table in metadata.sorted_tables}
    told = "it has a trigger or rule that no migration made"
    return findings + [Finding(f"trigger {name} of {table}", told) for name, table in others if table in ours]


def _sqlite() -> list[Trigger]:
    return [
        (f"{table.name}_no_{verb.lower()}", table.name, sqlite_trigger(table.name, verb))
        for table in APPEND_ONLY
        for verb in VERBS
    ]


def _postgresql() -> list[Trigger]:
    triggers: list[Trigger] = []
    for table in APPEND_ONLY:
        name = f"{table.name}_append_only"
        body = postgresql_body(table.name)
        triggers.append((name, table.name, body, name, "plpgsql", _BEFORE_CHANGES, "O", True))
    return triggers
