"""Rows of training data as people have them: lists, `datasets`, files. Rows are read when they are needed."""

import hashlib
import json
import logging
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from byline.declarations import kind
from byline.errors import InvalidTask
from byline.paths import in_task_folder, local_path
from byline.tasks.columns import Columns
from byline.tasks.documents import Document

_BUILDERS = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".arrow": "arrow"}
"""Files that `datasets` maps into memory."""
_ROWS = 1024
"""Rows that are read at once while a column is looked for."""
_END = 2**16
"""Bytes at each end of a file that its state covers."""
FILES = (".jsonl", ".json", ".parquet", ".csv", ".txt", ".arrow")


class Documents(Protocol):
    """A training set of documents, in a fixed order."""

    @property
    def state(self) -> str | None:
        """Names the data and their state, for data that need not be read for it."""
        ...

    def __len__(self) -> int: ...

    def read(self, start: int, stop: int) -> list[Document]:
        """Read some documents, from position `start` to the one before `stop`."""
        ...


class DocumentList:
    """Documents in memory."""

    state: str | None = None

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = documents

    def __len__(self) -> int:
        return len(self._documents)

    def read(self, start: int, stop: int) -> list[Document]:
        """Return some documents."""
        return list(self._documents[start:stop])


class Table(Protocol):
    """Rows with named columns."""

    ragged: bool
    """Whether each row has columns of its own. Then `names` are those of the first row."""

    @property
    def names(self) -> Sequence[str]:
        """Names of the columns."""
        ...

    @property
    def state(self) -> str | None:
        """Names the data and their state, for data that need not be read for it."""
        ...

    def __len__(self) -> int: ...

    def rows(self, start: int, stop: int) -> Sequence[Mapping[str, Any]]:
        """Read some rows, from position `start` to the one before `stop`."""
        ...


class DocumentTable:
    """Documents in the rows of a table."""

    def __init__(self, table: Table, columns: Columns) -> None:
        if not len(table):
            raise InvalidTask("expected at least one document to train on, got none: pass data with rows")
        self._table = table
        self._columns = columns.fitted(table.names, self._has if table.ragged else None)

    def _has(self, column: str) -> bool:
        """Tell whether any row has a column."""
        starts = range(0, len(self._table), _ROWS)
        return any(column in row for first in starts for row in self._table.rows(first, first + _ROWS))

    @property
    def state(self) -> str | None:
        """The table's state, and the columns that are read."""
        return None if self._table.state is None else f"{self._table.state}:{self._columns!r}"

    def __len__(self) -> int:
        return len(self._table)

    def read(self, start: int, stop: int) -> list[Document]:
        """Read some rows."""
        rows = self._table.rows(start, stop)
        return [self._columns.document(row, start + place) for place, row in enumerate(rows)]


def documents_of(data: Any, columns: Columns | None = None) -> Documents:
    """Take training data in any of the forms that people have.

    Args:
        data: A `datasets.Dataset`; a path of a JSONL, JSON, Parquet, CSV or text file, or of a folder of
            `Dataset.save_to_disk`; or a list of Documents, of dicts or of texts.
        columns: Names of the columns. None takes the usual ones.

    Raises:
        InvalidTask: It has another form, or the columns do not fit.
    """
    if isinstance(data, Sequence) and not isinstance(data, str) and not (data and _is_row(data[0])):
        _require_all(data, Document, "Documents")
        return DocumentList(data)
    table = table_of(data)
    chosen = Columns(text="text") if isinstance(table, _Texts | _Paragraphs) else columns or Columns()
    return DocumentTable(table, chosen)


def table_of(data: Any) -> Table:
    """Take data as rows with named columns.

    Args:
        data: As of `documents_of`, without Documents.

    Raises:
        InvalidTask: It has another form.
    """
    if isinstance(data, str | Path):
        return _file(in_task_folder(local_path(data, "the data")))
    if type(data).__module__.partition(".")[0] == "datasets":
        return _of_datasets(data)
    if not isinstance(data, Sequence):
        raise InvalidTask(
            f"expected data as a list, a datasets.Dataset or the path of a file, got {kind(data)}: pass one of these"
        )
    if data and isinstance(data[0], str):
        _require_all(data, str, "texts")
        return _Texts(data)
    _require_all(data, Mapping, "dicts")
    return _Dicts(data)


def _is_row(value: object) -> bool:
    return isinstance(value, Mapping | str)


def _require_all(data: Sequence[Any], element: type, each: str) -> None:
    wrong = next((place for place, value in enumerate(data) if not isinstance(value, element)), None)
    if wrong is not None:
        raise InvalidTask(
            f"expected documents to be {each}, got {kind(data[wrong])} at position {wrong}: pass Documents, dicts or texts, "
            f"all of one kind"
        )


class _Dicts:
    ragged = True
    state: str | None = None

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows, self.names = rows, list(rows[0]) if rows else []

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self, start: int, stop: int) -> Sequence[Mapping[str, Any]]:
        return self._rows[start:stop]


class _Texts:
    ragged = False
    names = ("text",)
    state: str | None = None

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)

    def rows(self, start: int, stop: int) -> list[dict[str, Any]]:
        return [{"text": text} for text in self._texts[start:stop]]


class _Dataset:
    """Rows of a `datasets.Dataset`, which is mapped into memory."""

    ragged = False

    def __init__(self, dataset: Any) -> None:
        self._dataset, self.names = dataset, list(dataset.column_names)
        self.state: str | None = f"datasets:{dataset._fingerprint}:{len(dataset)}"

    def __len__(self) -> int:
        return len(self._dataset)

    def rows(self, start: int, stop: int) -> list[dict[str, Any]]:
        columns = self._dataset[start:stop]
        return [
            {name: columns[name][place] for name in self.names}
            for place in range(min(stop, len(self)) - start)
        ]


class _FileSpans:
    """Pieces of a file, whose places alone are kept in memory."""

    def __init__(self, path: Path, spans: Iterator[tuple[int, int]]) -> None:
        self.state = _file_state(path)
        places = array("q")
        for span in spans:
            places.extend(span)
        self._path, self._places = path, np.asarray(places).reshape(-1, 2)

    def __len__(self) -> int:
        return len(self._places)

    def pieces(self, start: int, stop: int) -> list[str]:
        with self._path.open("rb") as file:
            return [self._piece(file, *place) for place in self._places[start:stop].tolist()]

    def _piece(self, file: Any, first: int, last: int) -> str:
        file.seek(first)
        try:
            mark = "utf-8" if first else "utf-8-sig"  # files of Windows begin with a byte-order mark
            text: str = file.read(last - first).decode(mark)
        except UnicodeDecodeError:
            raise InvalidTask(
                f"expected {self._path} to be UTF-8, got other bytes after byte {first}: convert the file"
            ) from None
        return text


class _JsonLines:
    ragged = True

    def __init__(self, path: Path) -> None:
        self._path, self._lines = path, _FileSpans(path, _lines(path))
        self.state: str | None = self._lines.state
        self.names: list[str] = list(self.rows(0, 1)[0]) if len(self._lines) else []

    def __len__(self) -> int:
        return len(self._lines)

    def rows(self, start: int, stop: int) -> list[dict[str, Any]]:
        return [self._row(t, start + place) for place, t in enumerate(self._lines.pieces(start, stop))]

    def _row(self, text: str, position: int) -> dict[str, Any]:
        try:
            row = json.loads(text)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise InvalidTask(
                f"expected {self._path} to hold a JSON object in each line, got something else in the row at position "
                f"{position}"
            )
        return row


class _Paragraphs:
    ragged = False
    names = ("text",)

    def __init__(self, path: Path) -> None:
        self._paragraphs = _FileSpans(path, _paragraphs(path))
        self.state: str | None = self._paragraphs.state

    def __len__(self) -> int:
        return len(self._paragraphs)

    def rows(self, start: int, stop: int) -> list[dict[str, Any]]:
        return [{"text": text} for text in self._paragraphs.pieces(start, stop)]


def _file_state(path: Path) -> str:
    """Name a file's state without reading all of it: another file of the same size and time is another one."""
    found = path.stat()
    with path.open("rb") as file:
        ends = hashlib.sha256(file.read(_END))
        file.seek(max(found.st_size - _END, 0))
        ends.update(file.read(_END))
    times = f"{found.st_mtime_ns}:{found.st_ctime_ns}"
    return f"{path.resolve()}:{found.st_ino}:{found.st_size}:{times}:{ends.hexdigest()}"


def _lines(path: Path) -> Iterator[tuple[int, int]]:
    """Find the lines that are not blank.

    Yields:
        First byte of a line, and the byte after it.
    """
    first = 0
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                yield first, first + len(line)
            first += len(line)


def _paragraphs(path: Path) -> Iterator[tuple[int, int]]:
    """Find the paragraphs, which blank lines part.

    Yields:
        First byte of a paragraph, and the byte after it.
    """
    first = last = place = 0
    with path.open("rb") as file:
        for line in file:
            place += len(line)
            if line.strip():
                last = place
                continue
            if last > first:
                yield first, last
            first = last = place
    if last > first:
        yield first, last


def _file(path: Path) -> Table:
    if path.is_dir() and (path / "state.json").is_file():
        return _Dataset(_datasets().load_from_disk(str(path)))
    if (path / "dataset_dict.json").is_file():
        raise InvalidTask(
            f"expected one data set at {path}, found a DatasetDict: pass the folder of the split that the model was trained "
            f"on, such as {path / 'train'}"
        )
    if not path.is_file():
        found = "a folder that Dataset.save_to_disk did not write" if path.is_dir() else "no file"
        raise InvalidTask(
            f"expected training data at {path}, found {found}: pass a file of one of the kinds {', '.join(FILES)}"
        )
    suffix = path.suffix.lower()
    if suffix == ".txt":
        return _Paragraphs(path)
    if suffix == ".jsonl" or (suffix == ".json" and not _is_array(path)):
        return _JsonLines(path)
    if suffix not in _BUILDERS:
        raise InvalidTask(f"expected a file of one of the kinds {', '.join(FILES)}, got '{suffix[:20]}'")
    return _mapped(path, _BUILDERS[suffix])


def _is_array(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4096).lstrip().startswith(b"[")


def _of_datasets(data: Any) -> _Dataset:
    name = type(data).__name__
    if isinstance(data, Mapping):
        raise InvalidTask(
            f"expected one datasets.Dataset, got a {name} of {len(data)} splits: pass the one that the model was trained "
            f"on, as in data['train']"
        )
    if not hasattr(data, "column_names") or not hasattr(data, "__len__"):
        raise InvalidTask(
            f"expected a datasets.Dataset, whose rows have places, got a {name}: load the data without streaming"
        )
    return _Dataset(data)


def _mapped(path: Path, builder: str) -> _Dataset:
    """Have `datasets` map a file into memory. It keeps a copy in its cache folder."""
    library = _datasets()
    shown, level = library.is_progress_bar_enabled(), library.logging.get_verbosity()
    library.disable_progress_bars()
    library.logging.set_verbosity(logging.CRITICAL)  # Byline's own error says it
    try:
        return _Dataset(library.load_dataset(builder, data_files=str(path), split="train"))
    except Exception as error:
        raise InvalidTask(
            f"expected {path} to be a {builder} file in UTF-8 with one table, got one that cannot be read "
            f"({type(error).__name__}): convert the file, for example to JSONL"
        ) from None
    finally:
        library.logging.set_verbosity(level)
        if shown:
            library.enable_progress_bars()


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise InvalidTask("this kind of file needs datasets: pip install 'byline[hf]'") from error
    return datasets
