"""Read the points that are ranked: rows of the data that `byline build --data` takes, or payloads of queries."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from byline.api.example import Example
from byline.attribution.candidate_scores import Candidate
from byline.attribution.selection import parsed_candidate
from byline.attribution.task_code import task_code
from byline.errors import InvalidInput, InvalidQuery
from byline.task import QueryInterface
from byline.tasks.columns import Columns
from byline.tasks.documents import Document
from byline.tasks.rows import documents_of, table_of
from byline_indexer.json_lines import json_lines

_ROWS = 64
"""Rows that are read together."""
Numbered = tuple[int, Candidate, str | None]
"""A row's number, from 1, its candidate, and its own id."""


class CandidateSource:
    """Data whose rows are candidates. They are read as they are needed, and may be read again.

    Args:
        data: A path, a list or a `datasets.Dataset`.
        interface: The Task's.
        columns: Names of the columns of documents. None takes the usual ones.

    Raises:
        InvalidInput: Columns are named for a Task whose points are no documents.
    """

    def __init__(self, data: Any, interface: QueryInterface, columns: Columns | None = None) -> None:
        if columns is not None and interface.document is None:
            raise InvalidInput(
                "expected columns only where the Task trains on documents (QueryInterface.document), got them beside one "
                "whose rows are payloads: leave them out, and name the columns as the payload's fields"
            )
        self._data, self._interface, self._columns = data, interface, columns
        self.name = str(data) if isinstance(data, str | Path) else "the data"
        """Names the data in messages."""

    def candidates(self) -> Iterator[Numbered]:
        """Read the candidates.

        Yields:
            Numbers, candidates and ids.

        Raises:
            InvalidInput: The data have another form. The message names the row.
            InvalidQuery: A row does not fit the Task.
        """
        if self._interface.document is not None:
            yield from self._documents()
        elif isinstance(self._data, str | Path) and Path(self._data).suffix not in _TABLES:
            for number, raw in json_lines(Path(self._data), "--data", "candidate"):
                yield self._payload(raw, number, "line")
        else:
            yield from self._rows()

    def _documents(self) -> Iterator[Numbered]:
        documents = documents_of(self._data, self._columns)
        for start in range(0, len(documents), _ROWS):
            for number, document in enumerate(documents.read(start, start + _ROWS), start + 1):
                yield number, self._trained(document, f"{self.name}, row {number}"), document.id

    def _trained(self, document: Document, name: str) -> Candidate:
        assert self._interface.document is not None
        try:
            with task_code():
                return Candidate(name=name, items=self._interface.document(document))
        except InvalidQuery as error:
            raise InvalidQuery(f"{name}: {error}") from error.__cause__

    def _rows(self) -> Iterator[Numbered]:
        table = table_of(self._data)
        if not len(table):
            raise InvalidInput(f"expected at least one candidate in {self.name}, got none")
        for start in range(0, len(table), _ROWS):
            for number, raw in enumerate(table.rows(start, start + _ROWS), start + 1):
                yield self._payload(raw, number, "row")

    def _payload(self, raw: Mapping[str, Any], number: int, what: str) -> Numbered:
        """Take a payload. The metadata of a training point is left out, where it is no part of the payload."""
        fields = self._interface.payload.model_fields
        beside = set(Example.model_fields) - set(fields)
        payload = {name: value for name, value in raw.items() if name not in beside}
        own = raw.get("id") if "id" not in fields else None
        candidate = parsed_candidate(self._interface, payload, f"{self.name}, {what} {number}")
        return number, candidate, own if isinstance(own, str) else None


_TABLES = (".parquet", ".csv", ".arrow", ".json")
"""Files of tables. Others hold a JSON object a line."""
