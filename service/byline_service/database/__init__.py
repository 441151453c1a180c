"""The database: SQLite in the data folder, or PostgreSQL. Each domain holds its own SQL."""

from byline_service.database.engine import Connection, Database

__all__ = ["Connection", "Database"]
