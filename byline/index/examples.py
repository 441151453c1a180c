"""The rows' metadata in one read-only SQLite file, with the same bytes for the same rows.

Legend: R rows of the index, O owners.
"""

import json
import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from byline.api.example import Example
from byline.api.query import Filter
from byline.errors import CorruptIndex, InvalidQuery, InvalidTask, NotFound

APPLICATION_ID = 0x42794C6E  # "ByLn", shown by file(1)
_BATCH = 1_000
_COLUMNS = ("id", "owner", "license", "uri", "label", "preview", "attributes")
_BY_ROWS = """SELECT row, id, owner, license, uri, label, preview, attributes FROM examples
    WHERE row IN (SELECT value FROM json_each(?))"""
_PAGE = """SELECT row, id, owner, license, uri, label, preview, attributes FROM examples
    WHERE row > ? ORDER BY row LIMIT ?"""
_SETTINGS = f"""
PRAGMA page_size = 4096; PRAGMA encoding = 'UTF-8'; PRAGMA auto_vacuum = NONE;
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;
PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 2;
"""
_TABLES = """
CREATE TABLE examples (row INTEGER PRIMARY KEY, id TEXT NOT NULL, owner TEXT, license TEXT, uri TEXT,
    label TEXT, preview TEXT, attributes TEXT NOT NULL);
CREATE TABLE owners (number INTEGER PRIMARY KEY, name TEXT NOT NULL, rows INTEGER NOT NULL, licenses TEXT NOT NULL);
CREATE TABLE images (row INTEGER PRIMARY KEY, png BLOB NOT NULL);
"""
_INDEXES = (
    "CREATE UNIQUE INDEX examples_by_id ON examples (id)",
    "CREATE INDEX examples_by_owner ON examples (owner)",
    "CREATE INDEX examples_by_license ON examples (license)",
    "CREATE INDEX examples_by_label ON examples (label)",
    "CREATE UNIQUE INDEX owners_by_name ON owners (name)",
)
_IDS = "SELECT row, id FROM examples WHERE row IN (SELECT value FROM json_each(?))"
_IMAGES = "SELECT row, png FROM images WHERE row IN (SELECT value FROM json_each(?))"
_WITH_IMAGES = "SELECT row FROM images WHERE row IN (SELECT value FROM json_each(?))"
_LISTED = " IN (SELECT value FROM json_each(?))"
_ATTRIBUTE = "EXISTS (SELECT 1 FROM json_each(attributes) WHERE key = ? AND {})"


def write_examples(path: Path, examples: Iterable[Example], rows: int) -> Iterator[int]:
    """Write the metadata file. The iterator's steps are the rows written so far.

    Args:
        path: A file that does not exist yet.
        examples: In row order.
        rows: R, the number of examples that must come.

    Yields:
        The number of rows that are written.

    Raises:
        InvalidTask: More or fewer examples came, two have one id, or a text is not valid Unicode.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.executescript(_SETTINGS)
        connection.execute("BEGIN")
        for statement in _TABLES.split(";"):
            connection.execute(statement)
        yield from _insert(connection, examples, rows)
        for statement in _INDEXES:
            connection.execute(statement)
        _insert_owners(connection)
        connection.execute("COMMIT")
    except sqlite3.IntegrityError as error:
        raise InvalidTask("two training points have the same Example.id: ids must be unique") from error
    except UnicodeEncodeError as error:
        raise InvalidTask("an Example has text that is not valid Unicode (a lone surrogate)") from error
    finally:
        connection.close()


def _insert(connection: sqlite3.Connection, examples: Iterable[Example], rows: int) -> Iterator[int]:
    done = 0
    batch: list[tuple[Any, ...]] = []
    for example in examples:
        row = done + len(batch)
        batch.append(_record(row, example))
        if example.image is not None:
            connection.execute("INSERT INTO images VALUES (?, ?)", (row, example.image))
        if len(batch) == _BATCH:
            done = _insert_batch(connection, batch, done)
            yield done
    done = _insert_batch(connection, batch, done)
    if done != rows:
        raise InvalidTask(f"expected {rows} examples, one for each row of features, got {done}")
    yield done


def _insert_batch(connection: sqlite3.Connection, batch: list[tuple[Any, ...]], done: int) -> int:
    connection.executemany("INSERT INTO examples VALUES (?, ?, ?, ?, ?, ?, ?, ?)", batch)
    total = done + len(batch)
    batch.clear()
    return total


def _record(row: int, example: Example) -> tuple[Any, ...]:
    try:
        attributes = json.dumps(
            dict(example.attributes), allow_nan=False, sort_keys=True, separators=(",", ":")
        )
    except ValueError as error:
        raise InvalidTask(f"row {row}: expected finite numbers in Example.attributes: {error}") from error
    kept = (example.owner, example.license, example.uri, example.label, example.preview)
    return (row, example.id, *kept, attributes)


def _insert_owners(connection: sqlite3.Connection) -> None:
    """Number the owners by name, so that the numbers do not depend on the order of rows."""
    connection.execute(
        """
        INSERT INTO owners
        SELECT row_number() OVER (ORDER BY owner) - 1, owner, sum(count),
               coalesce(json_group_array(license) FILTER (WHERE license IS NOT NULL), '[]')
        FROM (SELECT owner, license, count(*) AS count FROM examples
              WHERE owner IS NOT NULL GROUP BY owner, license ORDER BY owner, license)
        GROUP BY owner ORDER BY owner
        """
    )


class ExampleStore:
    """Reads the metadata file. Safe to use from several threads."""

    def __init__(self, path: Path):
        self._path = path
        # One connection for all threads: sqlite3 lets them share it, and the lock keeps their cursors apart.
        self._lock = threading.Lock()
        # Immutable: SQLite then takes no file lock and writes no journal beside a read-only index.
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        weakref.finalize(self, self._connection.close)
        self.rows = int(self._fetch("SELECT count(*) FROM examples")[0][0])
        """R."""
        self.has_images = bool(self._fetch("SELECT EXISTS (SELECT 1 FROM images)")[0][0])
        """Whether any row has a thumbnail."""

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def by_rows(self, rows: Sequence[int] | NDArray[np.int64]) -> list[Example]:
        """Read the examples of these rows, in this order.

        Raises:
            NotFound: A row is not in the index.
        """
        wanted = [int(row) for row in rows]
        found: dict[int, Example] = {}
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            records = self._fetch(_BY_ROWS, [json.dumps(batch)])
            found.update({record[0]: _example(record[1:]) for record in records})
        missing = [row for row in wanted if row not in found]
        if missing:
            raise NotFound(f"expected rows below {self.rows}, got {len(missing)} others")
        return [found[row] for row in wanted]

    def ids(self, rows: Sequence[int] | NDArray[np.int64]) -> list[str]:
        """Read the ids of these rows, in this order.

        Args:
            rows: Rows of the index.
        """
        found = dict(self._fetch(_IDS, [_listed(rows)]))
        return [found[int(row)] for row in rows]

    def images(self, rows: Sequence[int] | NDArray[np.int64]) -> dict[int, bytes]:
        """Read the thumbnails of these rows.

        Returns:
            Row -> PNG. Rows without a thumbnail are left out.
        """
        return dict(self._fetch(_IMAGES, [_listed(rows)])) if self.has_images else {}

    def with_images(self, rows: Sequence[int] | NDArray[np.int64]) -> set[int]:
        """Find which of these rows have a thumbnail."""
        return {row for (row,) in self._fetch(_WITH_IMAGES, [_listed(rows)])} if self.has_images else set()

    def row_of(self, example_id: str) -> int:
        """Find an example's row.

        Raises:
            NotFound: No example has this id.
        """
        records = self._fetch("SELECT row FROM examples WHERE id = ?", [_text(example_id)])
        if not records:
            raise NotFound(f"no example has this id of {len(example_id)} characters")
        return int(records[0][0])

    def page(self, after_row: int = -1, limit: int = 100) -> list[tuple[int, Example]]:
        """Read the next rows after one, by key and never by a deep offset.

        Args:
            after_row: The last row that is known already. -1 for the first page.
            limit: Rows at most.

        Returns:
            (row, example) in row order. Empty after the last row.
        """
        records = self._fetch(_PAGE, [after_row, limit])
        return [(record[0], _example(record[1:])) for record in records]

    def rows_matching(self, chosen: Filter) -> NDArray[np.int64]:
        """Find the rows that a filter lets through.

        Args:
            chosen: The filter.

        Returns:
            int64 [N], sorted.

        Raises:
            InvalidQuery: A value cannot be compared: not valid Unicode, or an integer beyond 64 bits.
        """
        conditions, values = ["1"], list[Any]()
        for column in ("id", "owner", "license", "label"):
            allowed = getattr(chosen, column)
            if allowed is not None:
                conditions.append(column + _LISTED)
                values.append(json.dumps([_text(entry) for entry in allowed]))
        for key, value in chosen.attributes.items():
            condition, operands = _attribute_condition(value)
            conditions.append(_ATTRIBUTE.format(condition))
            values += [_text(key), *operands]
        # The conditions are the constants above; what users send is bound, never part of the text.
        query = f"SELECT row FROM examples WHERE {' AND '.join(conditions)} ORDER BY row"  # noqa: S608 - constants only
        with self._reading() as connection:
            cursor = connection.execute(query, values)
            return np.fromiter((record[0] for record in cursor), dtype=np.int64)

    def owners(self) -> list[tuple[str, int, list[str]]]:
        """List (owner, number of rows, licenses), sorted by owner."""
        records = self._fetch("SELECT name, rows, licenses FROM owners ORDER BY number")
        return [(name, count, json.loads(licenses)) for name, count, licenses in records]

    def licenses(self) -> list[tuple[str | None, int]]:
        """List (license, number of rows), the commonest first. None for rows that state none."""
        query = "SELECT license, count(*) FROM examples GROUP BY license ORDER BY count(*) DESC, license"
        return [(name, count) for name, count in self._fetch(query)]

    def owner_numbers(self) -> NDArray[np.int32]:
        """Read the number of each row's owner in `owners()`, int32 [R]. -1 where a row has none."""
        query = """SELECT coalesce(number, -1) FROM examples LEFT JOIN owners ON owner = name ORDER BY row"""
        with self._reading() as connection:
            cursor = connection.execute(query)
            return np.fromiter((record[0] for record in cursor), dtype=np.int32, count=self.rows)

    def _fetch(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._reading() as connection:
            return connection.execute(query, values).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock:
                yield self._connection
        except sqlite3.DatabaseError as error:
            raise CorruptIndex(
                f"{self._path}: SQLite cannot read it: restore or rebuild the index"
            ) from error


def _listed(rows: Sequence[int] | NDArray[np.int64]) -> str:
    return json.dumps([int(row) for row in rows])


def _example(record: Sequence[Any]) -> Example:
    fields = dict(zip(_COLUMNS, record, strict=True))
    fields["attributes"] = json.loads(fields["attributes"])
    return Example.model_construct(**fields)


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidQuery("expected valid Unicode text, got a lone surrogate") from error
    return value


def _attribute_condition(value: JsonValue) -> tuple[str, list[Any]]:
    match value:
        case None:
            return "type = 'null'", []
        case bool():
            return f"type = '{str(value).lower()}'", []
        case int() | float():
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise InvalidQuery("expected an integer of at most 64 bits in a filter")
            return "type IN ('integer', 'real') AND atom = ?", [value]
        case str():
            return "type = 'text' AND atom = ?", [_text(value)]
        case _:
            raise InvalidQuery(
                f"expected text, a number, a boolean or null in a filter, got {type(value).__name__}"
            )
