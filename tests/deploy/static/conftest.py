"""The service's fixtures serve here, too: a running application, a real PostgreSQL, and books on each database."""

from tests.service.conftest import (
    books,
    database,
    ledger_clock,
    migrated_template,
    postgres,
    serve,
    served,
    sqlite_books,
)

__all__ = [
    "books",
    "database",
    "ledger_clock",
    "migrated_template",
    "postgres",
    "serve",
    "served",
    "sqlite_books",
]
