"""Rights of the service's own role on PostgreSQL: it reads and adds, and changes rows only where rows are changed.

The migrator owns the tables. The service's role can neither change nor delete a row of an append-only table, truncate
it, nor alter its triggers.
"""

from psycopg import sql
from sqlalchemy import Connection
from sqlalchemy.engine import URL

from byline.errors import InvalidInput
from byline_service.database.tables import APPEND_ONLY, metadata

_READ = "SELECT"
_ADD = "SELECT, INSERT"
_CHANGE = "SELECT, INSERT, UPDATE, DELETE"


def require_two_roles(migrator: URL, runtime: URL) -> None:
    """Require two roles of one database.

    Args:
        migrator: URL of the migration.
        runtime: URL of the service.

    Raises:
        InvalidInput: The URLs are not of one PostgreSQL database with two roles.
    """
    for url in (migrator, runtime):
        if url.get_backend_name() != "postgresql" or not url.username:
            raise InvalidInput(
                "expected BYLINE_MIGRATION_DATABASE_URL and BYLINE_DATABASE_URL as postgresql://role:password@host/name, "
                "got another kind"
            )
    if migrator.database != runtime.database:
        raise InvalidInput(
            "expected the URLs of the migration and of the service to name one database, got two"
        )
    if migrator.username == runtime.username:
        raise InvalidInput("expected two roles, one that migrates and one that serves, got one")


def grant(connection: Connection, runtime: URL) -> None:
    """Give the service's role its rights on the migrated tables, and take all others. The role is made if it is missing.

    Args:
        connection: The migrator's transaction.
        runtime: URL of the service, with its role and password.

    Raises:
        InvalidInput: The role could get around its rights.
    """
    role = str(runtime.username)
    _require_role(connection, role, str(runtime.password or ""))
    for statement in _statements(connection, role):
        connection.exec_driver_sql(statement)


def _require_role(connection: Connection, role: str, password: str) -> None:
    query = (
        "SELECT rolsuper OR rolcreaterole OR pg_has_role(rolname, current_user, 'MEMBER') "
        "FROM pg_roles WHERE rolname = %s"
    )
    found = connection.exec_driver_sql(query, (role,)).scalar()
    if found:
        raise InvalidInput(
            "expected a role of the service without rights of its own, got a superuser, a role that makes roles, or a "
            "member of the migrator's: make another one"
        )
    if found is None:
        # A digest, as the password must not appear in the server's log.
        driver = connection.connection.driver_connection
        assert driver is not None
        digest = driver.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
        made = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(digest))
        connection.exec_driver_sql(made.as_string(None))


def _statements(connection: Connection, role: str) -> list[str]:
    quote = connection.dialect.identifier_preparer.quote
    to, schema = quote(role), quote(str(connection.exec_driver_sql("SELECT current_schema()").scalar()))
    added = {table.name for table in APPEND_ONLY}
    rights = {table.name: _ADD if table.name in added else _CHANGE for table in metadata.sorted_tables}
    return [
        f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {to}",
        f"GRANT USAGE ON SCHEMA {schema} TO {to}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {to}",
        f"GRANT {_READ} ON {schema}.alembic_version TO {to}",
        *(f"GRANT {right} ON {schema}.{quote(name)} TO {to}" for name, right in sorted(rights.items())),
    ]
