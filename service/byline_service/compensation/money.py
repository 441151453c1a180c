"""Currencies of ISO 4217, and amounts in their minor units."""

from byline.errors import InvalidInput

MOST = 10**15
"""Largest amount of a pool, in minor units: sums of many stay within 64 bits."""
_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE "
        "CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD "
        "HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP "
        "MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD "
        "SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS "
        "VED VES WST XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
MINOR_DIGITS = {code: digits for digits, codes in _DIGITS.items() for code in codes.split()}
"""Decimal digits of the minor unit by currency code (ISO 4217)."""


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
