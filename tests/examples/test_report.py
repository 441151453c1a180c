import re
from io import StringIO

import pytest
from rich.console import Console

from examples.report import short, show_answer, with_interval


@pytest.mark.parametrize(
    ("value", "interval", "percent", "written"),
    [
        (0.12345, (0.1134, 0.1335), False, "0.1235 (0.1134 to 0.1335)"),
        (1833.04, (1810.4, 1855.6), False, "1833 (1810 to 1856)"),
        (-3.14159, None, False, "-3.14"),
        (0.851, (0.799, 0.903), True, "85.1 % (79.9 to 90.3)"),
        (None, None, True, "-"),
    ],
)
def test_numbers_are_written_with_their_interval(value, interval, percent, written):
    assert with_interval(value, interval, percent=percent) == written


def test_texts_are_cut():
    assert short("abcdef", 4) == "abc…"
    assert short("abcd", 4) == "abcd"


@pytest.mark.parametrize("owners", [1, 9])
def test_an_answer_is_shown_with_what_people_look_for(owners):
    example = {
        "owner": "Ann [/b]",
        "license": "MIT",
        "uri": "pkg:pypi/a@1#a/b.py",
        "preview": "def [red]f[/red]():\n    pass",
        "attributes": {"start": 12_345},
    }
    share = {
        "owner": "Ann [/b]",
        "share": 0.5,
        "share_interval": (0.4, 0.6),
        "score": 2.0,
        "interval": None,
        "examples": 7,
    }
    answer = {
        "prediction": {"completion": "self)", "tokens": 2, "token_probability": 0.25},
        "proponents": [{"rank": 1, "score": 1.5, "interval": (1.25, 1.75), "example": example}],
        "shares": {"owners": [share] * owners},
    }
    out = StringIO()
    show_answer(Console(file=out, width=116), "def f(", "pkg:pypi/a@1#a/c.py", answer)
    shown = out.getvalue()
    for text in (
        "score (95 %)",
        "def f(self)",
        "0.25",
        "1.50 (1.25 to 1.75)",
        "MIT",
        "a/b.py from 12,345",
        "[red]f[/red]",
        "50.0 % (40.0 to 60.0)",
    ):
        assert text in shown
    assert re.search(r"\n +1 +1\.50 \(1\.25 to 1\.75\) +Ann", shown), "the rank has its column"
    assert ("4 others" in shown) == (owners == 9)
