"""The same rows from lists, from `datasets` and from files; what cannot be read is refused in one line."""

import csv
import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from byline.errors import InvalidTask
from byline.paths import relative_to
from byline.tasks import Columns, Document
from byline.tasks.rows import documents_of

ROWS = [{"text": f"x = {n}\n☃", "owner": f"o{n}"} for n in range(5)]
DOCUMENTS = [Document(text=row["text"], owner=row["owner"]) for row in ROWS]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def written(folder: Path, kind: str) -> Path:
    path = folder / f"rows.{kind}"
    if kind == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n")
    elif kind == "json":
        path.write_text(json.dumps(ROWS))
    elif kind == "csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["text", "owner"])
            writer.writeheader()
            writer.writerows(ROWS)
    else:
        datasets.Dataset.from_list(ROWS).to_parquet(path)
    return path


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
def test_files(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, kind)
    for given in (path, str(path)):
        documents = documents_of(given)
        assert len(documents) == 5
        assert documents.read(0, 5) == DOCUMENTS
        assert documents.read(3, 9) == DOCUMENTS[3:]


def test_json_lines_named_json(tmp_path: Path) -> None:
    path = written(tmp_path, "jsonl")
    assert documents_of(path.rename(tmp_path / "rows.json")).read(0, 5) == DOCUMENTS


def test_lists_and_data_sets(tmp_path: Path) -> None:
    data = datasets.Dataset.from_list(ROWS)
    data.save_to_disk(tmp_path / "saved")
    sources: list[Any] = [ROWS, DOCUMENTS, data, data.select(range(5)), tmp_path / "saved"]
    for source in sources:
        assert documents_of(source).read(1, 3) == DOCUMENTS[1:3]
    assert documents_of([row["text"] for row in ROWS]).read(4, 5) == [Document(text=ROWS[4]["text"])]


def test_a_relative_file_lies_beside_the_tasks(tmp_path: Path) -> None:
    written(tmp_path, "jsonl")
    with relative_to(tmp_path):
        assert len(documents_of("rows.jsonl")) == 5


def test_paragraphs_of_a_text(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text("\n\none\ntwo é\n\n  \nthree\n\n")
    assert [d.text for d in documents_of(path).read(0, 9)] == ["one\ntwo é\n", "three\n"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "secret"}\n[1]\n', "something else in the row at position 1"),
        ("a.jsonl", b'{"text": "secret"}\n{"text"', "something else in the row at position 1"),
        ("a.jsonl", b'{"text": "a"}\n\xff\n', "to be UTF-8, got other bytes after byte 14"),
        ("a.parquet", b"secret", "cannot be read"),
        ("a.csv", b"text\nsecret \xe9\n", "to be a csv file in UTF-8 .* convert the file"),
        ("a.jsonl", b"\n", "at least one document to train on, got none"),
        ("a.xlsx", b"secret", "one of the kinds .jsonl, .json, .parquet, .csv, .txt"),
    ],
)
def test_files_that_cannot_be_read(
    tmp_path: Path, name: str, content: bytes, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidTask, match=message) as error:
        documents_of(tmp_path / name).read(0, 2)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    for name, content in {"a.jsonl": b'{"text": "one"}\n', "a.txt": b"one"}.items():
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + content)
        assert documents_of(tmp_path / name).read(0, 1) == [Document(text="one")]


def test_folders_of_several_data_sets(tmp_path: Path) -> None:
    data = datasets.DatasetDict(train=datasets.Dataset.from_list(ROWS))
    data.save_to_disk(tmp_path / "saved")
    with pytest.raises(InvalidTask, match=r"found a DatasetDict: .* such as .*/saved/train"):
        documents_of(tmp_path / "saved")
    assert len(documents_of(tmp_path / "saved" / "train")) == 5
    with pytest.raises(InvalidTask, match=r"a folder that Dataset\.save_to_disk did not write"):
        documents_of(tmp_path)


def test_other_things_are_refused(tmp_path: Path) -> None:
    data = datasets.Dataset.from_list(ROWS)
    cases: list[tuple[Any, str]] = [
        (7, "got an? int"),
        (tmp_path / "none.jsonl", "found no file"),
        (datasets.DatasetDict(train=data), r"of 1 splits: .* data\['train'\]"),
        (data.to_iterable_dataset(), "without streaming"),
        ([ROWS[0], "x"], "to be dicts, got a str at position 1"),
        (["x", None], "to be texts, got a NoneType at position 1"),
    ]
    for given, message in cases:
        with pytest.raises(InvalidTask, match=message):
            documents_of(given)
    with pytest.raises(InvalidTask, match="expected a column 'body'"):
        documents_of(data, Columns(text="body"))


def test_columns_that_the_first_row_lacks(tmp_path: Path) -> None:
    rows = [{"text": "one"}, {"text": "two", "owner": "ada", "author": "bob"}]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for given in (rows, path):
        assert [each.owner for each in documents_of(given).read(0, 2)] == [None, "ada"]
        named = documents_of(given, Columns(owner="author", attributes=("owner",))).read(0, 2)
        assert [each.owner for each in named] == [None, "bob"]
        assert [each.attributes["owner"] for each in named] == [None, "ada"]
        with pytest.raises(InvalidTask, match="expected a column 'writer'"):
            documents_of(given, Columns(owner="writer"))
