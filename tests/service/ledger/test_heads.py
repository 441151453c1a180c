"""Heads that were noted elsewhere: read from a file, and looked for in the logs."""

import pytest

from byline.errors import InvalidInput
from byline_service.ledger.heads import Head, HeadCheck, HeadLine, current_heads, read_heads

ONE, OTHER = "1" * 64, "2" * 64


def line(**heads):
    return HeadLine(at="2026-01-01T00:00:00Z", **heads).model_dump_json() + "\n"


def test_a_file_of_heads_is_read(tmp_path):
    path = tmp_path / "heads.jsonl"
    path.write_text(line() + line(journal=f"3:{ONE}") + line(journal=f"4:{OTHER}", audit=f"9:{ONE}"))
    assert read_heads(path) == [Head("journal", 3, ONE), Head("journal", 4, OTHER), Head("audit", 9, ONE)]


@pytest.mark.parametrize(
    "text", ["{}", "x", line(journal=f"3:{ONE}")[:-9], '{"at": "", "journal": "3:abc"}', "\n"]
)
def test_a_line_that_is_no_head_is_told_by_its_number(tmp_path, text):
    path = tmp_path / "heads.jsonl"
    path.write_text(line() + text)
    with pytest.raises(InvalidInput, match="in line 2"):
        read_heads(path)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(InvalidInput, match="can be read"):
        read_heads(tmp_path / "none")
    for text in ("3", f"x:{ONE}", f"3:{ONE[1:]}", f"-3:{ONE}"):
        with pytest.raises(InvalidInput, match="SEQUENCE:HASH"):
            Head.parse("journal", text)


def test_a_head_is_found_with_its_hash_in_its_log_alone():
    noted = [Head("journal", 1, ONE), Head("journal", 2, ONE), Head("audit", 3, ONE), Head("journal", 9, ONE)]
    check = HeadCheck("journal", noted)
    for sequence, found in ((1, ONE), (2, OTHER), (3, OTHER)):
        check.see(sequence, found)
    assert [each.where for each in check.findings] == ["journal 2", "journal 9"]
    both = HeadCheck("journal", [Head("journal", 1, ONE), Head("journal", 1, OTHER)])
    both.see(1, ONE)
    assert len(both.findings) == 1, "two hashes of one record were noted: one of them is wrong"


def test_the_heads_of_a_ledger(books):
    async def heads(database):
        async with database.read() as reading:
            return await current_heads(reading)

    assert books.used.run(heads) == (None, None)
    books.policy()
    found = books.verify()
    assert books.used.run(heads) == (f"{found.records}:{found.head}", f"{found.audit}:{found.audit_head}")
