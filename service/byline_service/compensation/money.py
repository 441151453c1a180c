"""Currencies of ISO 4217, and amounts in their minor units."""

from byline.api.currencies import MINOR_DIGITS
from byline.errors import InvalidInput


def minor_digits(currency: str) -> int:
    """Look up the decimal digits of a currency's minor unit.

    Raises:
        InvalidInput: It is no currency of ISO 4217.
    """
    if currency not in MINOR_DIGITS:
        raise InvalidInput("expected currency to be a code of ISO 4217, such as EUR, got another text")
    return MINOR_DIGITS[currency]


def written(amount: int, currency: str) -> str:
    """Write an amount for people and spreadsheets: `12.34`, `-0.005`, `7`; no grouping, a point for decimals.

    Args:
        amount: In minor units.
        currency: Its code.

    Returns:
        The amount in major units, with all minor digits.
    """
    digits = minor_digits(currency)
    sign, figures = "-" * (amount < 0), str(abs(amount)).rjust(digits + 1, "0")
    return sign + (f"{figures[:-digits]}.{figures[-digits:]}" if digits else figures)
