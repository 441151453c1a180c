"""Currencies of ISO 4217, and amounts in their minor units."""

from byline.api.currencies import MINOR_DIGITS
from byline.errors import InvalidInput


def minor_digits(currency: str) -> int:
    """Return the number of decimal digits of a currency's minor unit.

    Raises:
        InvalidInput: ISO 4217 has no such currency.
    """
    if currency not in MINOR_DIGITS:
        raise InvalidInput("expected currency to be a code of ISO 4217, such as EUR, got another text")
    return MINOR_DIGITS[currency]


def format_minor(amount: int, currency: str) -> str:
    """Write an amount in major units: `12.34`, `-0.005`, `7`; no grouping, and a decimal point.

    Args:
        amount: The amount in minor units.
        currency: The code of the currency.

    Returns:
        The amount in major units, with all minor digits.
    """
    digits = minor_digits(currency)
    sign, figures = "-" * (amount < 0), str(abs(amount)).rjust(digits + 1, "0")
    return sign + (f"{figures[:-digits]}.{figures[-digits:]}" if digits else figures)
