import pytest

from byline.errors import InvalidInput
from byline_service.compensation.rights_csv import parse_rights, write_rights

HEADER = "owner,right,party,share,from,to\n"
LABELS = {"ada": "ada", "Zo\u00eb": "Zo\u00eb", "House": "House", "The House": "House"}


def test_a_table_is_read_and_written():
    text = (
        HEADER
        + "ada,publisher,The House,250000,,2026-03-31\nZoe\u0308 ,author, Zoe\u0308,1000000,2026-01-01,\n"
    )
    rows = parse_rights("\ufeff" + text, LABELS)
    assert [(row.owner, row.party, row.share, row.since, row.until) for row in rows] == [
        ("Zo\u00eb", "Zo\u00eb", 1_000_000, "2026-01-01", None),
        ("ada", "House", 250_000, None, "2026-03-31"),
    ]
    assert parse_rights(write_rights(rows), LABELS) == rows


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ada,author,nobody,1,,", "line 3: expected the label of a recorded party"),
        ("ada,poet,ada,1,,", "line 3: expected another value of `right`"),
        ("ada,author,ada,0,,", "line 3: expected another value of `share`"),
        ("ada,author,ada,1000001,,", "line 3: expected another value of `share`"),
        ("ada,author,ada,50%,,", "line 3: expected another value of `share`"),
        ("ada,author,ada,1,31.3.2026,", "line 3: expected days as"),
        ("ada,author,ada,1,2026-02-01,2026-01-01", "line 3: expected a last day"),
        ("ada,author,ada,1", "line 3: expected 6 fields"),
        ("ada,author,ada,1,,,x", "line 3: expected 6 fields"),
        ("a\u202eda,author,ada,1,,", "line 3: expected an owner's label without invisible"),
        ("Zoe\u0308,author,House,1000000,,", "line 3: expected a row that differs from line 2"),
        ("Zoe\u0308,author,Zo\u00eb,1,,", "lines 2, 3: expected at most 1000000 millionths .* got 1000001"),
        ("Zo\u00eb,author,ada,1,2026-05-01,", "lines 2, 3: .* got 1000001 on 2026-05-01"),
    ],
)
def test_wrong_lines_have_numbers(line, said):
    with pytest.raises(InvalidInput, match=said):
        parse_rights(HEADER + "Zo\u00eb,author,House,1000000,,\n" + line + "\n", LABELS)


def test_another_header_is_refused():
    with pytest.raises(InvalidInput, match="columns"):
        parse_rights("owner,party,share\n", LABELS)
