"""The database: SQLite in the data folder, or PostgreSQL. SQL itself lives in `service/repositories`."""

from byline_service.database.engine import Connection, Database

__all__ = ["Connection", "Database"]
