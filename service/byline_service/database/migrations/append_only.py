"""Tables whose rows the database itself refuses to change or delete. For revisions: it must not change."""

from alembic import op

VERBS = ("UPDATE", "DELETE")


def append_only(table: str) -> None:
    """Have the database itself refuse to change or delete a row."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in VERBS:
            op.execute(sqlite_trigger(table, verb))
        return
    op.execute(
        f"CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS $${postgresql_body(table)}$$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()"
    )


def drop_append_only(table: str) -> None:
    """Take the refusal away again, before the table is dropped."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in VERBS:
            op.execute(f"DROP TRIGGER {table}_no_{verb.lower()}")
        return
    op.execute(f"DROP TRIGGER {table}_append_only ON {table}")
    op.execute(f"DROP FUNCTION {table}_append_only()")


def sqlite_trigger(table: str, verb: str) -> str:
    """Return the SQL of a trigger on SQLite, as the database stores it."""
    return (
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    )


def postgresql_body(table: str) -> str:
    """Return the body of a trigger's function on PostgreSQL, as the database stores it."""
    return f"BEGIN RAISE EXCEPTION '{table} is append-only'; END"
