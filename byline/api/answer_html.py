"""Draw an answer as HTML: the cards of the service's page, in one element that needs no script and no other file."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from byline.api.answer_parts import AnswerHeader, Attribution, OwnerShare, StandsOut
from byline.api.token_scores import TokenScores
from byline.api.token_shades import copied_sentence, query_shades, rest_sentence, strongest, training_shades

if TYPE_CHECKING:
    from jinja2 import Template

Points = tuple[Attribution, ...] | None
"""Training points of one end; None if it was not requested."""
_DATA = "data:image/png;base64,"
"""Beginning of an image that needs no other file. Paths of a service are not drawn."""
DRAWN_OWNERS = 8
"""Owners whose shares are drawn. The table of all is `answer.shares.to_pandas()`."""


def answer_html(
    header: AnswerHeader,
    ends: tuple[Points, Points],
    stands_out: StandsOut,
    owners: Sequence[OwnerShare] | None,
    query_tokens: Sequence[str] | None = None,
) -> str:
    """Draw an answer.

    Args:
        header: The description of the index and the scores.
        ends: Proponents and opponents.
        stands_out: Whether the best scores stand out from the noise.
        owners: The owners' shares, largest score first; None if they were not requested.
        query_tokens: Texts of the query's tokens; None if they were not requested.

    Returns:
        One HTML element. Text of training points and of the prediction is escaped.
    """
    drawn = [
        {"title": title, "hint": hint, "cards": _cards(found, query_tokens or ())}
        for title, hint, found in _ends(header, ends)
        if found is not None
    ]
    return _template("answer.html").render(
        answer=header,
        prediction=_prediction(header),
        trust=_trust(header, stands_out),
        ends=drawn,
        owners=None if owners is None else _owners(owners),
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


def _ends(header: AnswerHeader, ends: tuple[Points, Points]) -> list[tuple[str, str, Points]]:
    proponents, opponents = ends
    if header.blend is not None:
        return [
            ("Highest blend", f"Ranked by {header.blend.text}: similarity adds to influence.", proponents),
            (
                "Lowest blend",
                f"Ranked by {header.blend.text}: dissimilarity subtracts from influence.",
                opponents,
            ),
        ]
    if header.baseline is not None:
        return [
            (
                "Most alike",
                "These are alike to the query. Training on them may have had any effect.",
                proponents,
            ),
            ("Least alike", "These are least like the query.", opponents),
        ]
    return [
        ("Proponents", "Training on these raised the target.", proponents),
        ("Opponents", "Training on these lowered the target.", opponents),
    ]


def _cards(found: Points, query_tokens: Sequence[str]) -> list[dict[str, Any]]:
    largest = max((abs(each.score) for each in found or ()), default=0.0) or 1.0
    return [
        {
            "point": each,
            "width": 100 * abs(each.score) / largest,
            "lowers": each.score < 0,
            "image": each.image if each.image and each.image.startswith(_DATA) else None,
            "tokens": None if each.tokens is None else _tokens(each, each.tokens, query_tokens),
        }
        for each in found or ()
    ]


def _tokens(point: Attribution, scores: TokenScores, query_tokens: Sequence[str]) -> dict[str, Any]:
    word = "word" if scores.grid is None else "patch (row:column)"
    both = {
        f"What each {word} of the query owes to it": query_shades(scores, query_tokens),
        f"What each {word} of it did": training_shades(scores),
    }
    texts = [
        {"title": title, "shades": shaded, "strongest": strongest(shaded)}
        for title, shaded in both.items()
        if shaded is not None
    ]
    columns = None if scores.grid is None else scores.grid[1]
    said = [each for each in (copied_sentence(scores, point.score), rest_sentence(scores)) if each]
    return {"texts": texts, "said": said, "columns": columns}


def _prediction(header: AnswerHeader) -> list[tuple[str, str]]:
    shown = header.prediction or {}
    return [
        (name.replace("_", " "), f"{value:.3g}" if isinstance(value, float) else str(value))
        for name, value in shown.items()
        if isinstance(value, str | int | float)
    ]


def _trust(header: AnswerHeader, stands_out: StandsOut) -> list[str]:
    """Say in short sentences how far the answer can be trusted."""
    said = []
    if header.blend is not None:
        said.append("A blend of influence and similarity is no attribution by gradients alone.")
    if header.quality_card is not None:
        said.append(header.quality_card.text)
    elif header.baseline is None:
        said.append("The accuracy of this index was not measured (byline evaluate).")
    if header.standard_error_units is not None:
        said.append(f"Intervals (95 %) are over {header.standard_error_units} independent members.")
    elif header.baseline is None:
        said.append("One member: scores have no standard error.")
    if stands_out.proponents is False:
        said.append("The largest scores do not stand out from the noise.")
    return said


def _owners(owners: Sequence[OwnerShare]) -> list[dict[str, Any]]:
    due = [each for each in owners if each.share]
    return [{"owner": each, "width": 100 * (each.share or 0.0)} for each in due[:DRAWN_OWNERS]]
