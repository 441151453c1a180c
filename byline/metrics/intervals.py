"""Confidence intervals around a mean of few units: quantiles of Student's t.

The standard error of a mean over U independent units is itself estimated from U numbers. The normal
distribution's 1.96 then covers too little: .70 with two units and .81 with three in place of .95.
(mean - truth) / error follows Student's t with U - 1 degrees of freedom, whose quantiles are taken here for
every interval over an ensemble, every lower bound and every "stands out".

Quantiles are found in decimal arithmetic of a fixed precision, in which every machine and version gets the same
digits: lower bounds of the compensation ledger are computed again years later, and must be the same.
"""

from decimal import Context, Decimal, localcontext
from functools import lru_cache

LEVEL = Decimal("0.95")
"""Confidence level of the intervals."""
_DIGITS = Context(prec=45)
_CLOSE = Decimal("1e-30")
_PI = Decimal("3.14159265358979323846264338327950288419716939937510")


def half_width(error: float, units: int, level: Decimal = LEVEL) -> float:
    """Compute how far a two-sided interval reaches to either side of a mean.

    Args:
        error: Standard error of the mean.
        units: Independent units U whose spread gave it. At least 2.
        level: Probability that the interval holds the truth.

    Returns:
        The error times Student's t.
    """
    return error * float(student_quantile((1 + level) / 2, units - 1))


def interval_around(middle: float, error: float, units: int, level: Decimal = LEVEL) -> tuple[float, float]:
    """Compute the two-sided interval around a mean. Arguments as of `half_width`."""
    half = half_width(error, units, level)
    return middle - half, middle + half


@lru_cache(maxsize=4096)
def student_quantile(probability: Decimal, freedom: int) -> Decimal:
    """Compute a quantile of Student's t with whole degrees of freedom.

    Newton's iteration from 0 on the probability between -t and t, which is concave in t: it never passes the
    quantile.

    Args:
        probability: At least a half, below one.
        freedom: Degrees of freedom, at least 1.

    Returns:
        The quantile, to 25 digits.

    Raises:
        ValueError: An argument is out of its range.
    """
    if freedom < 1 or not Decimal("0.5") <= probability < 1:
        raise ValueError(
            f"expected a probability in [.5, 1) and at least 1 degree of freedom, got {probability} and {freedom}"
        )
    with localcontext(_DIGITS):
        wanted, t = 2 * probability - 1, Decimal(0)
        while True:
            between, slope = _between(t, freedom)
            step = (wanted - between) / slope
            t += step
            if abs(step) <= _CLOSE * (1 + t):
                return t


def _between(t: Decimal, freedom: int) -> tuple[Decimal, Decimal]:
    """The probability between -t and t, and its slope in t.

    Finite sums in the cosine of arctan(t / sqrt(freedom)): Abramowitz and Stegun 26.7.3 and 26.7.4.
    """
    odd = freedom % 2
    square = freedom / (freedom + t * t)
    cosine, sine = square.sqrt(), (1 - square).sqrt()
    term, total = cosine if odd else Decimal(1), Decimal(0)
    for step in range(1, freedom // 2 + 1):
        total += term
        term *= square * (2 * step - 1 + odd) / (2 * step + odd)
    between, slope = total * sine, term * cosine * Decimal(freedom).sqrt()
    if not odd:
        return between, slope
    angle = _arctan(t / Decimal(freedom).sqrt())
    return 2 / _PI * (angle + between), 2 / _PI * slope


def _arctan(tangent: Decimal) -> Decimal:
    """The angle, by halving it until its series is short."""
    halvings = 8
    for _ in range(halvings):
        tangent /= 1 + (1 + tangent * tangent).sqrt()
    power, total, n = tangent, Decimal(0), 1
    while abs(power) > Decimal("1e-50"):
        total += power / n
        power, n = -power * tangent * tangent, n + 2
    return total * Decimal(2**halvings)
