"""Files of queries are read line by line, and what is wrong is named by its line."""

import json
from pathlib import Path

import pytest

from byline.errors import InvalidInput, InvalidQuery
from byline_indexer.cli.query import _parsed
from byline_indexer.scores import read_requests

DEEP = "[" * 100_000


def test_only_newlines_end_a_line(tmp_path: Path) -> None:
    texts = ["one\u2028two", "next\x85line", "ü", "last"]
    lines = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
    path = tmp_path / "queries.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*lines, "", "  "]).encode())
    assert [request.query for request in read_requests(path)] == [{"text": text} for text in texts]


@pytest.mark.parametrize("line", ["{", "[]", "3", DEEP, '{"a": ' + DEEP])
def test_a_line_that_is_no_query_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text(f'{{"text": "fine"}}\n\n{line}\n')
    with pytest.raises(InvalidInput, match="line 3: expected a JSON object") as caught:
        read_requests(path)
    assert len(str(caught.value)) < 500


def test_every_query_of_a_file_is_refined(tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text('{"text": "one"}\n{"text": "two"}\n')
    assert [request.refine for request in read_requests(path, refine=8)] == [8, 8]
    assert [request.refine for request in read_requests(path)] == [0, 0]


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe"])
def test_files_without_queries(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "queries.jsonl").write_bytes(content)
    with pytest.raises(InvalidInput, match="expected"):
        read_requests(tmp_path / "queries.jsonl")


@pytest.mark.parametrize("text", ["{", "[]", DEEP])
def test_a_query_that_is_no_object(text: str) -> None:
    with pytest.raises(InvalidQuery, match="--query"):
        _parsed(text)
