"""Tables show what others wrote as it is: in owners, previews and predictions nothing is obeyed."""

import io

import pytest
from rich.console import Console

from byline.api.answer import Answer
from byline.api.answer_parts import Attribution, Coverage, Optimism, SearchCertainty, StandsOut, Timings
from byline.api.example import Example
from byline_indexer.cli.tables import answer_tables

ODD = "x[/b] [red]y[/red] \x1b[31mz"
TIMES = Timings(queue=0, predict=0, gradient=0, transform=0, search=0, join=0)


def answer(searched: int, **changes: object) -> Answer:
    example = Example(id=ODD, owner=ODD, license=ODD, label=ODD, preview=ODD)
    found = Attribution(rank=1, row=0, example=example, score=1.0, standard_error=None)
    return Answer(
        index="odd", version="v", recipe="ekfac", recipe_fingerprint="f", exact=True, target="loss",
        prediction={"text": ODD}, standard_error_scope=None, timings=TIMES, proponents=(found,), opponents=None,
        coverage=Coverage(searched=searched, total=9, complete=searched == 9),
        stands_out=StandsOut(proponents=None, opponents=None), shares=None,
    ).model_copy(update=changes)  # fmt: skip


def printed(found: Answer) -> str:
    console = Console(file=io.StringIO(), width=200, force_terminal=True, color_system="truecolor")
    for table in answer_tables(found):
        console.print(table)
    return console.file.getvalue()


def test_markup_and_control_characters_are_text() -> None:
    text = printed(answer(9))
    assert text.count("x[/b] [red]y[/red]") == 6
    assert "\x1b[31m" not in text


def test_how_sure_the_search_is_is_said_where_it_was_not_exact() -> None:
    exact = SearchCertainty(exact=True, candidates=9, expected_recall=1.0)
    codes = SearchCertainty(exact=False, candidates=1234, expected_recall=0.98769)
    assert "candidates" not in printed(answer(9, search=exact))
    text = " ".join(printed(answer(9, search=codes, exact=False)).split())
    assert "1,234 candidates by codes: at least 98.76 % of the best rows are expected here" in text


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (answer(9), None),
        (answer(4), "4 of 9 training points searched"),
        (answer(9, unit="group"), "groups of 9 of 9 training points searched"),
        (answer(4, drilled_groups=2), "the points of 2 groups: 4 of 9 training points"),
    ],
)
def test_what_was_searched_is_said_where_it_is_not_everything(found: Answer, says: str | None) -> None:
    text = " ".join(printed(found).split())
    assert says in text if says else "searched" not in text


def test_intervals_come_with_what_they_are_worth() -> None:
    known = answer(9).proponents[0].model_copy(update={"standard_error": 0.1, "interval": (0.6, 1.25)})
    several = {
        "proponents": (known,),
        "standard_error_scope": "between_checkpoints",
        "standard_error_units": 4,
    }
    text = " ".join(printed(answer(9, **several, optimism=Optimism(proponents=0.075))).split())
    assert "95 % interval" in text
    assert "+0.6 to +1.25" in text
    assert (
        "intervals by Student's t over 4 checkpoints; picked as the best of many, the scores are about 7.5% too"
        in text
    )
    assert "Student" not in printed(answer(9))


def test_previews_are_legible_in_80_columns() -> None:
    """Empty columns leave their room, and the others wrap before the preview does."""
    example = Example(
        id="0123456789abcdef0123#17", owner="somebody", preview="How do I add two numbers? Write a + b."
    )
    points = tuple(
        Attribution(
            rank=rank, row=rank, example=example, score=-1234.5, standard_error=0.1, interval=(-1.5, -0.25)
        )
        for rank in (1, 2)
    )
    console = Console(file=io.StringIO(), width=80)
    for table in answer_tables(answer(9, proponents=points)):
        console.print(table)
    lines = console.file.getvalue().splitlines()
    assert any("How do I add two numbers?" in line for line in lines)
    assert "license" not in console.file.getvalue()
    assert all(len(line) <= 80 for line in lines)
