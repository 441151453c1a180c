"""Draw an answer as HTML: the cards of the service's page, in one element that needs no script and no other file."""

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from byline.api.answer import Answer, Attribution, Shares

if TYPE_CHECKING:
    from jinja2 import Template

DRAWN_OWNERS = 8
"""Owners whose shares are drawn. The table of all is `answer.shares.to_pandas()`."""


def answer_html(answer: Answer) -> str:
    """Draw an answer.

    Args:
        answer: The answer.

    Returns:
        One HTML element. Text of training points and of the prediction is escaped.
    """
    ends = [
        {"title": title, "hint": hint, "cards": _cards(found)}
        for title, hint, found in _ends(answer)
        if found is not None
    ]
    return _template("answer.html").render(
        answer=answer,
        prediction=_prediction(answer),
        trust=_trust(answer),
        ends=ends,
        owners=None if answer.shares is None else _owners(answer.shares),
    )


def index_html(title: str, facts: Iterable[tuple[str, str]]) -> str:
    """Draw the facts of an index.

    Args:
        title: Name of the index.
        facts: Pairs of (name, value).

    Returns:
        One HTML element.
    """
    return _template("index.html").render(title=title, facts=list(facts))


def number(value: float) -> str:
    """Write a number with three significant digits, as the cards do."""
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"


@cache
def _template(name: str) -> "Template":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("byline.api"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["number"] = number
    return environment.get_template(name)


def _ends(answer: Answer) -> list[tuple[str, str, tuple[Attribution, ...] | None]]:
    if answer.baseline is not None:
        return [
            (
                "Most alike",
                "These are alike to the query. Training on them may have had any effect.",
                answer.proponents,
            ),
            ("Least alike", "These are least like the query.", answer.opponents),
        ]
    return [
        ("Proponents", "Training on these raised the target.", answer.proponents),
        ("Opponents", "Training on these lowered the target.", answer.opponents),
    ]


def _cards(found: tuple[Attribution, ...] | None) -> list[dict[str, Any]]:
    largest = max((abs(each.score) for each in found or ()), default=0.0) or 1.0
    return [
        {"point": each, "width": 100 * abs(each.score) / largest, "lowers": each.score < 0}
        for each in found or ()
    ]


def _prediction(answer: Answer) -> list[tuple[str, str]]:
    shown = answer.prediction or {}
    return [
        (name.replace("_", " "), f"{value:.3g}" if isinstance(value, float) else str(value))
        for name, value in shown.items()
        if isinstance(value, str | int | float)
    ]


def _trust(answer: Answer) -> list[str]:
    """Say in short sentences how far the answer can be trusted."""
    said = []
    if answer.quality_card is not None:
        said.append(answer.quality_card.text)
    elif answer.baseline is None:
        said.append("The accuracy of this index was not measured (byline evaluate).")
    if answer.standard_error_units is not None:
        said.append(f"Intervals (95 %) are over {answer.standard_error_units} independent members.")
    elif answer.baseline is None:
        said.append("One member: scores have no standard error.")
    if answer.stands_out.proponents is False:
        said.append("The largest scores do not stand out from the noise.")
    return said


def _owners(shares: Shares) -> list[dict[str, Any]]:
    due = [each for each in shares.owners if each.share]
    return [{"owner": each, "width": 100 * (each.share or 0.0)} for each in due[:DRAWN_OWNERS]]
