"""Consents from a CSV file: all lines, or none."""

import pytest

from byline.errors import InvalidInput
from byline_service.cli.consents import read_rows

HEAD = "owner,index,work,version,status,since,source\n"


def file(tmp_path, text):
    path = tmp_path / "consents.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


def test_lines_are_read(tmp_path):
    signed = 'ash,digits,17,,prohibited,2026-03-01T00:00:00Z,"letter, signed"\n'
    text = HEAD + signed + "birch,digits,,v1,allowed,2026-03-01T00:00:00+02:00,web\n"
    first, second = read_rows(file(tmp_path, text))
    assert (first.owner, first.work, first.version, first.source) == ("ash", "17", None, "letter, signed")
    assert (second.work, second.version, second.status) == (None, "v1", "allowed")
    assert second.since.utcoffset().seconds == 7200


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("owner,index\nash,digits\n", "expected the columns"),
        (HEAD, "at least one"),
        (HEAD + "ash,digits,,,prohibited,2026-03-01,web\n", "line 2, got other values in: since"),
        (HEAD + "ash,digits,,,gone,2026-03-01T00:00:00Z,\n", "line 2, got other values in: source, status"),
        (HEAD + "ash,digits,,,allowed,2026-03-01T00:00:00Z,web,more\n", "line 2"),
    ],
)
def test_what_is_refused(tmp_path, text, words):
    with pytest.raises(InvalidInput, match=words):
        read_rows(file(tmp_path, text))
