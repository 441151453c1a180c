"""The secrets and the database of the service: from the settings, or from files in the data folder."""

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from byline.errors import InvalidInput
from byline_service.database import Database
from byline_service.database.engine import database_url, sqlite_url
from byline_service.settings import SHORTEST_SECRET, Settings

_SQLITE = "byline.sqlite"


@dataclass(frozen=True)
class Secrets:
    """The accepted secrets. Two are accepted while one replaces the other."""

    current: bytes = field(repr=False)
    """Secret of new digests and signatures."""
    second: bytes | None = field(default=None, repr=False)
    """Another secret whose digests and signatures are accepted. None outside of a rotation."""

    @property
    def accepted(self) -> tuple[bytes, ...]:
        """Return all accepted secrets, the current one first."""
        return (self.current,) if self.second is None else (self.current, self.second)


def open_database(settings: Settings) -> Database:
    """Open the database of the settings. The folder of SQLite is created.

    Raises:
        InvalidInput: The URL is not valid, or the folder cannot be created or written.
    """
    if settings.database_url is not None:
        return Database(settings.database_url.get_secret_value(), pool_size=settings.database_pool)
    folder = _folder(settings)
    if not os.access(folder, os.W_OK):  # SQLite writes into the folder even to read
        raise InvalidInput(
            f"expected a data folder that can be written, got {folder}, which is read-only or another user's: set "
            "BYLINE_DATA_DIR"
        )
    return Database(sqlite_url(folder / _SQLITE), pool_size=settings.database_pool)


def require_database(settings: Settings) -> None:
    """Require that a database of SQLite is there. Nothing is created.

    Raises:
        InvalidInput: There is no such file.
    """
    path = settings.data_dir / _SQLITE
    if settings.database_url is not None:
        url = database_url(settings.database_url.get_secret_value())
        if url.get_backend_name() != "sqlite":
            return
        path = Path(url.database or "")
    if not path.is_file():
        raise InvalidInput(
            f"expected a database, got none at {path}: set BYLINE_DATABASE_URL or BYLINE_DATA_DIR to those of the service"
        )


def read_secrets(settings: Settings, *, is_sqlite: bool) -> Secrets:
    """Return the accepted secrets. With SQLite the current one is created on the first start, readable by this user alone.

    Args:
        settings: The settings.
        is_sqlite: Whether the database is SQLite.

    Raises:
        InvalidInput: PostgreSQL needs a secret in the settings, which all replicas share, or the file cannot be used.
    """
    second = None if settings.second_secret is None else settings.second_secret.get_secret_value().encode()
    return Secrets(_current_secret(settings, is_sqlite=is_sqlite), second)


def _current_secret(settings: Settings, *, is_sqlite: bool) -> bytes:
    if settings.secret is not None:
        return settings.secret.get_secret_value().encode()
    if not is_sqlite:
        raise InvalidInput(
            "expected a secret (BYLINE_SECRET, or a file byline_secret in BYLINE_SECRETS_DIR), since the database "
            "is PostgreSQL: make one with `openssl rand -hex 32`, and give the same one to every replica"
        )
    path = _folder(settings) / "secret"
    try:
        _make(path)
        content = path.read_bytes().strip()
    except OSError as error:
        raise InvalidInput(f"cannot use {path} ({error.strerror}): set BYLINE_DATA_DIR") from None
    if len(content) < SHORTEST_SECRET:
        raise InvalidInput(
            f"expected {path} to hold {SHORTEST_SECRET} characters or more, got {len(content)}"
        )
    return content


def _make(path: Path) -> None:
    """Create the file atomically: another process may start at the same time."""
    if path.exists():
        return
    partial = path.with_name(f"secret.{secrets.token_hex(8)}")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(partial, path)
    finally:
        partial.unlink()


def _folder(settings: Settings) -> Path:
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(
            f"cannot make the data folder {settings.data_dir} ({error.strerror}): set BYLINE_DATA_DIR"
        ) from None
    return settings.data_dir
