"""Formats of numbers, times and text in pages. `numbers.js` applies the reader's locale to the exact values."""

from datetime import UTC, date, datetime
from decimal import Decimal

from markupsafe import Markup, escape

from byline_service.compensation.money import format_minor

MINUS = "\u2212"


def number(value: float | int | Decimal | None, digits: int = 0) -> Markup:
    """Write a number with a fixed number of decimals. A dash for None."""
    if value is None:
        return _nothing()
    return _data(value, f"{value:,.{digits}f}", digits=digits)


def percent(value: float | None, digits: int = 1) -> Markup:
    """Write a fraction as a percentage."""
    if value is None:
        return _nothing()
    return _data(value, f"{100 * value:,.{digits}f}%", digits=digits, style="percent")


def money(minor: int | None, currency: str, exponent: int = 2) -> Markup:
    """Write an amount of money without rounding.

    Args:
        minor: Integer minor units.
        currency: ISO 4217 code.
        exponent: Decimals of the currency's major unit.
    """
    if minor is None:
        return _nothing()
    value = Decimal(minor).scaleb(-exponent)
    return _data(value, f"{currency} {value:,.{exponent}f}", digits=exponent, currency=currency)


def plain_amount(minor: int, currency: str) -> str:
    """Write an amount as text, with a comma between thousands and without its currency.

    Args:
        minor: Integer minor units.
        currency: ISO 4217 code.
    """
    whole, point, rest = format_minor(abs(minor), currency).partition(".")
    return f"{'-' if minor < 0 else ''}{int(whole):,}{point}{rest}"


def short(value: float | None) -> str:
    """Write a score with four significant digits, and an exponent only for very large or small ones."""
    if value is None:
        return "\u2013"
    large = abs(value) >= 1e6 or 0 < abs(value) < 1e-3
    rounded = float(f"{value:.4g}")
    return (f"{value:.2e}" if large else f"{rounded:,.10g}").replace("-", MINUS)


def moment(value: datetime | None) -> Markup:
    """Write a time in the form of ISO 8601, in UTC and to the second."""
    if value is None:
        return _nothing()
    utc = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        utc.isoformat(timespec="seconds"), utc.strftime("%Y-%m-%d %H:%M UTC")
    )


def stamp(text: str | None) -> Markup:
    """Write a time that is stored as ISO 8601 text."""
    return moment(None if text is None else datetime.fromisoformat(text))


def day(value: date | None) -> Markup:
    """Write a day in the form of ISO 8601."""
    return (
        _nothing() if value is None else Markup('<time datetime="{0}">{0}</time>').format(value.isoformat())
    )


def code(text: str) -> Markup:
    """Set text in backticks as code."""
    parts = [escape(part) for part in text.split("`")]
    coded = [Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts)]
    return Markup().join(coded)


def _data(value: float | int | Decimal, text: str, **options: str | int) -> Markup:
    attributes = Markup("").join(Markup(' data-{}="{}"').format(name, each) for name, each in options.items())
    exact = format(value, "f") if isinstance(value, Decimal) else repr(value)
    return Markup('<data value="{}"{}>{}</data>').format(exact, attributes, text.replace("-", MINUS))


def _nothing() -> Markup:
    return Markup('<span aria-label="none">\u2013</span>')
