"""Geometry of charts: from numbers to positions in a box.

Templates draw the charts. `charts.js` draws the same ones for answers, with their intervals.

A chart holds no text. Text stands beside it as HTML, so that it wraps, scales and is read aloud.
"""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 200.0
"""Width of a bar's box, which is stretched to the available room."""
HEIGHT = 100.0
"""Height of a column chart's box."""
COLUMN = 10.0
"""Width of a column's place."""


@dataclass(frozen=True)
class Entry:
    """The label and value of one bar."""

    label: str
    """Label beside the bar."""
    value: float
    """Length of the bar; negative values go to the left."""


@dataclass(frozen=True)
class Bar:
    """A bar in a box of `WIDTH`."""

    label: str
    value: float
    x: float
    """Left edge of the bar."""
    width: float
    """Width of the bar, never negative."""
    zero: float
    """Position of 0."""


def bars(entries: Sequence[Entry]) -> list[Bar]:
    """Place bars on one scale that includes 0."""
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
    """A segment of a stacked bar."""

    label: str
    value: float
    share: float
    """Share of the whole bar."""
    x: float
    width: float
    color: int
    """Number of the color, 1 to 6. The last one is for the rest."""


def stacked_bar(parts: Sequence[tuple[str, float]], rest: str = "others") -> list[BarSegment]:
    """Divide one bar into segments, the largest first. The sixth and later ones are combined.

    Args:
        parts: Names and sizes. No size is negative.
        rest: Name of the combined segment.

    Returns:
        The segments. Empty if all sizes are 0.
    """
    ordered = sorted(parts, key=lambda part: -part[1])
    shown = ordered if len(ordered) <= 6 else [*ordered[:5], (rest, sum(size for _, size in ordered[5:]))]
    total = sum(size for _, size in shown)
    segments, x = list[BarSegment](), 0.0
    for color, (label, size) in enumerate(shown, start=1):
        if size > 0:
            width = WIDTH * size / total
            segments.append(BarSegment(label, size, size / total, round(x, 2), round(width, 2), color))
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
    """Place the columns of a chart side by side.

    Args:
        values: Labels and values in order. No value is negative.

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
    """Return the smallest of 1, 2, 2.5, 5, 10 … that is not below a value."""
    if value <= 0:
        return 1.0
    power = float(10 ** (len(str(int(value))) - 1)) if value >= 1 else 1.0
    return next(step * power for step in (1.0, 2.0, 2.5, 5.0, 10.0) if step * power >= value)


@dataclass(frozen=True)
class Gauge:
    """A value on a scale, with its interval and its ceiling, in a box of `WIDTH`."""

    value: float
    zero: float
    low: float | None
    high: float | None
    ceiling: float | None
    start: float
    """Value at the left edge."""
    end: float
    """Value at the right edge."""


def gauge(value: float, interval: tuple[float, float] | None, ceiling: float | None) -> Gauge:
    """Place a value on a scale from 0 to 1, or a wider one if necessary."""
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
