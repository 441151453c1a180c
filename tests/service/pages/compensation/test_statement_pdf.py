"""Statements as PDF files: their text, their letterhead, and letters beyond Latin."""

import re
import zlib
from contextlib import suppress

import pytest

from byline.api.statements import StatementDocument
from byline_service.pages.compensation.statement_pdf import FONTS, Letterhead, statement_pdf


def statement(*owners):
    lines = [
        {
            "owner": owner,
            "earned": 1234,
            "brought": 5,
            "payable": 123_456,
            "carried": 0,
            "escrow": 789,
            "held": 0,
            "netted": 0,
        }
        for owner in owners
    ]
    return StatementDocument.model_validate(
        {
            "id": "r" * 32, "kind": "allocation", "state": "posted", "policy": "royalties", "revision": 1,
            "currency": "EUR", "minor_digits": 2, "drafted_by": "ada", "drafted_at": "2026-04-02T00:00:00Z",
            "steps": [{"step": "posting", "person": "grace", "at": "2026-04-03T00:00:00Z", "comment": None}],
            "reason": None, "since": "2026-03-01T00:00:00Z", "until": "2026-04-01T00:00:00Z", "events": 12, "late": 1,
            "period": "2026-03", "warnings": [], "hands": [], "asked": {}, "refused": [], "lines": lines,
            "totals": None, "account": None, "restrictions": [], "splits": [], "sha256": "0" * 64,
        }
    )  # fmt: skip


def letters_of(file):
    """The letters of a PDF file: each of its fonts has a map from glyphs to letters."""
    found = set()
    for written in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", file, re.DOTALL):
        stream = written
        with suppress(zlib.error):
            stream = zlib.decompress(written)
        if b"beginbfchar" in stream:
            found |= {
                bytes.fromhex(letter.decode()).decode("utf-16-be")
                for letter in re.findall(rb"^<[0-9A-F]{4}> <([0-9A-F]{4})>$", stream, re.MULTILINE)
            }
    return found


NAME = "\u0141ucja \u0395\u03bb\u03ad\u03bd\u03b7 \u0412\u043b\u0430\u0434\u0438\u043c\u0438\u0440"
"""A name in Latin, Greek and Cyrillic letters."""
HEAD = Letterhead(lines=["Example Society", "1 Main Street"])


def test_the_same_statement_is_the_same_file():
    one = statement_pdf(statement(NAME), HEAD, NAME)
    assert one.startswith(b"%PDF-1")
    assert one == statement_pdf(statement(NAME), HEAD, NAME)
    letters = letters_of(one)
    assert set(NAME + "1,234.56") <= letters
    assert "\u25a1" not in letters


def test_letters_without_a_glyph_are_told():
    assert "\u25a1" in letters_of(statement_pdf(statement("山田 Studio"), HEAD, "山田 Studio"))


def test_a_further_font_fills_in(tmp_path):
    sparse = Letterhead(lines=HEAD.lines, fonts=[FONTS / "Inter-SemiBold.ttf"])
    assert statement_pdf(statement("a", "b"), sparse, None).startswith(b"%PDF-1")


@pytest.mark.parametrize("count", [1, 120])
def test_a_whole_run_goes_over_several_pages(count):
    file = statement_pdf(statement(*(f"owner {n}" for n in range(count))), HEAD, None)
    assert len(re.findall(rb"/Type /Page\b", file)) == 1 + (count > 1) * 3
