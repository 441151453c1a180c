"""Geometry of charts: numbers to places in a box.

Templates draw them; `charts.js` draws the same for answers, with their intervals.

Text is never part of a picture: it stands beside it as HTML, so that it wraps, scales and is read aloud.
"""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 200.0
"""Of a bar's box; it is stretched to the room there is."""
HEIGHT = 100.0
"""Of a column chart's box."""
COLUMN = 10.0
"""Of one column's place."""


@dataclass(frozen=True)
class Entry:
    """One bar as it is asked for."""

    label: str
    """Names it."""
    value: float
    """Its length; negative ones go to the left."""


@dataclass(frozen=True)
class Bar:
    """One bar as it is drawn, in a box of `WIDTH`."""

    label: str
    value: float
    x: float
    """Left edge."""
    width: float
    """Never negative."""
    zero: float
    """Where 0 is."""


def bars(entries: Sequence[Entry]) -> list[Bar]:
    """Place bars on one scale that begins at 0, or holds it."""
    low = min([0.0, *(each.value for each in entries)])
    high = max([0.0, *(each.value for each in entries)])
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return round(1 + (WIDTH - 2) * (min(max(value, low), high) - low) / span, 2)

    return [
        Bar(
            label=each.label,
            value=each.value,
            x=min(x(0.0), x(each.value)),
            width=round(abs(x(each.value) - x(0.0)), 2),
            zero=x(0.0),
        )
        for each in entries
    ]


@dataclass(frozen=True)
class BarSegment:
    """A part of a stacked bar."""

    label: str
    value: float
    share: float
    """Of the whole."""
    x: float
    width: float
    colour: int
    """1 to 6; the last is for the rest."""


def stacked(parts: Sequence[tuple[str, float]], rest: str = "others") -> list[BarSegment]:
    """Cut one bar into parts, largest first; the sixth and later ones are put together.

    Args:
        parts: Names and sizes, none negative.
        rest: Name of what is put together.

    Returns:
        The segments; none where all sizes are 0.
    """
    ordered = sorted(parts, key=lambda part: -part[1])
    shown = ordered if len(ordered) <= 6 else [*ordered[:5], (rest, sum(size for _, size in ordered[5:]))]
    total = sum(size for _, size in shown)
    segments, x = list[BarSegment](), 0.0
    for colour, (label, size) in enumerate(shown, start=1):
        if size > 0:
            width = WIDTH * size / total
            segments.append(BarSegment(label, size, size / total, round(x, 2), round(width, 2), colour))
            x += width
    return segments


@dataclass(frozen=True)
class Column:
    """A column of a chart over time, in a box of `HEIGHT`."""

    label: str
    value: float
    x: float
    y: float
    height: float


def columns(values: Sequence[tuple[str, float]]) -> tuple[list[Column], float]:
    """Stand values beside one another.

    Args:
        values: Labels and values in order, none negative.

    Returns:
        The columns, and the value at the top of the box.
    """
    top = nice_top(max((value for _, value in values), default=0.0))
    return [
        Column(
            label,
            value,
            round(COLUMN * i + 1.5, 2),
            round(HEIGHT * (1 - value / top), 2),
            round(HEIGHT * value / top, 2),
        )
        for i, (label, value) in enumerate(values)
    ], top


def nice_top(value: float) -> float:
    """The next of 1, 2, 2.5, 5, 10 … that is not below a value."""
    if value <= 0:
        return 1.0
    power = float(10 ** (len(str(int(value))) - 1)) if value >= 1 else 1.0
    return next(step * power for step in (1.0, 2.0, 2.5, 5.0, 10.0) if step * power >= value)


@dataclass(frozen=True)
class Gauge:
    """One figure on a scale with its interval and what could be reached, in a box of `WIDTH`."""

    value: float
    zero: float
    low: float | None
    high: float | None
    ceiling: float | None
    start: float
    """What the left edge means."""
    end: float
    """What the right edge means."""


def gauge(value: float, interval: tuple[float, float] | None, ceiling: float | None) -> Gauge:
    """Place a figure on a scale from 0 to 1, or wider where it needs that."""
    ends: list[float] = [value, *(interval or ()), *(() if ceiling is None else (ceiling,))]
    start: float = min(0.0, *ends)
    end: float = max(1.0, *ends)

    def x(number: float) -> float:
        return round(WIDTH * (number - start) / (end - start), 2)

    return Gauge(
        value=x(value),
        zero=x(0.0),
        low=None if interval is None else x(interval[0]),
        high=None if interval is None else x(interval[1]),
        ceiling=None if ceiling is None else x(ceiling),
        start=start,
        end=end,
    )
