"""Lay out scores token by token for the terminal: shaded texts, with signs and marks that need no color."""

from collections.abc import Iterator, Sequence

from rich.text import Text

from byline.api.answer import Answer
from byline.api.answer_parts import Attribution
from byline.api.token_shades import (
    LEVELS,
    Shade,
    copied_sentence,
    query_shades,
    rest_sentence,
    strongest,
    training_shades,
)

_GROUNDS = {
    1: ("#dfe3fb", "#c3cafb", "#a3aefa", "#8391f5", "#5f70ee"),
    -1: ("#fbe6d8", "#f8cfb4", "#f4b48a", "#ee9860", "#e57a35"),
}
"""Backgrounds by sign, weakest first. The ink on them is dark in every theme."""


def token_lines(answer: Answer) -> Iterator[Text]:
    """Lay out every listed point of an answer that was asked with `tokens`.

    Args:
        answer: The answer.

    Yields:
        Lines: for each point the query's text, the point's own text and how much was copied.
    """
    for name, points in (("proponent", answer.proponents), ("opponent", answer.opponents)):
        for point in points or ():
            if point.tokens is not None:
                yield from _point_lines(f"{name} {point.rank}", point, answer.query_tokens or ())


def _point_lines(name: str, point: Attribution, query_tokens: Sequence[str]) -> Iterator[Text]:
    assert point.tokens is not None
    yield Text(f"\n{name}, {point.score:+.4g}: {_printable(point.example.id)}", style="bold")
    columns = None if point.tokens.grid is None else point.tokens.grid[1]
    word = "token" if columns is None else "patch (row:column)"
    yield Text(f"each {word} of the query owes to it", style="dim")
    yield from _shaded(query_shades(point.tokens, query_tokens), columns)
    own = training_shades(point.tokens)
    if own is None:
        yield Text("the training point shows no text", style="dim")
        return
    yield Text(f"each {word} of it did", style="dim")
    yield from _shaded(own, columns)
    rest = rest_sentence(point.tokens)
    if rest is not None:
        yield Text(rest)
    copied = copied_sentence(point.tokens, point.score)
    if copied is not None:
        yield Text(f"{copied} Underlined: word for word in both.")


def _shaded(shaded: Sequence[Shade], columns: int | None) -> Iterator[Text]:
    line = Text()
    for place, each in enumerate(shaded):
        if columns is None:
            line.append(_printable(each.text), style=_style(each))
            continue
        line.append(" + " if each.level > 0 else " - " if each.level < 0 else " . ", style=_style(each))
        line.append("\n" if (place + 1) % columns == 0 else "")
    yield line
    named = (f"{_printable(each.text).strip()} {each.score:+.3g}" for each in strongest(shaded))
    yield Text(", ".join(named), style="dim")


def _style(shade: Shade) -> str:
    style = "underline " if shade.copied else ""
    if not shade.level:
        return style.strip()
    ground = _GROUNDS[1 if shade.level > 0 else -1][min(abs(shade.level), LEVELS) - 1]
    return f"{style}{'italic ' if shade.level < 0 else ''}#191a20 on {ground}"


def _printable(text: str) -> str:
    """Keep line ends, and make every other control character a space."""
    return "".join(each if each.isprintable() or each == "\n" else " " for each in text)
