"""The compensation formulas by brute force, written apart from the product: plain Fractions, one owner at a time."""

from fractions import Fraction
from itertools import count
from math import ceil, isqrt

from scipy.special import stdtrit

from byline.api.currencies import LARGEST_AMOUNT
from byline.api.receipts import EventMember, ReceiptContent
from byline_service.compensation.event import Event, signed_bytes
from byline_service.compensation.policy import Policy
from byline_service.signing.keys import SigningKey

AT = "2026-03-01T12:00:00.000000Z"
KEY = SigningKey.from_secret(b"s" * 32)
_ids = count()


def members(units):
    return tuple(EventMember(name=f"c{m}", unit=unit) for m, unit in enumerate(units))


def event(scores, units=(0, 1, 2), **changes):
    """An event with these integers by owner and member, signed by `KEY`."""
    values = {
        "id": f"event-{next(_ids)}",
        "booked_at": AT,
        "answered_at": AT,
        "index": "digits",
        "version": "0123456789ab",
        "manifest": "a" * 64,
        "recipe_fingerprint": "b" * 64,
        "target": "margin",
        "asked": "query",
        "question": "c" * 64,
        "refine": 0,
        "error_scope": "between_checkpoints",
        "searched": 10,
        "total": 10,
        "quality": None,
        "members": members(units),
        "scale": 40,
        "scores": {owner: tuple(row) for owner, row in scores.items()},
        "works": {},
    }
    values |= changes
    content = ReceiptContent(**{name: values[name] for name in ReceiptContent.model_fields})
    return Event(**({"signature": KEY.sign(signed_bytes(content))} | values))


def policy(**changes):
    values = {
        "name": "royalties",
        "revision": 1,
        "currency": "EUR",
        "pool": 100_000,
        "confidence": None if "multiplier" in changes else 950,
    }
    values |= changes
    values.setdefault(
        "budget", values["pool"] if values.get("spread", "period") == "period" else LARGEST_AMOUNT
    )
    return Policy(**values)


def shares(sums):
    """max(S_j, 0) over their sum; zeros where nobody is positive."""
    positive = [Fraction(max(value, 0)) for value in sums]
    whole = sum(positive, Fraction(0))
    return [value / whole if whole else Fraction(0) for value in positive]


def jackknife_squared(event):
    """Squares of the standard errors, exactly; owners by name."""
    owners = sorted(event.scores)
    units = sorted({member.unit for member in event.members})
    left_out = []
    for gone in units:
        means = []
        for owner in owners:
            kept = []
            for unit in units:
                own = [n for n, m in zip(event.scores[owner], event.members, strict=True) if m.unit == unit]
                if unit != gone:
                    kept.append(Fraction(sum(own), len(own)))
            means.append(sum(kept, Fraction(0)) / max(len(kept), 1))
        left_out.append(shares(means))
    many, squares = len(units), {}
    parts = [Fraction(sum(m.unit == unit for m in event.members), len(event.members)) for unit in units]
    uneven = many * sum(part**2 for part in parts)
    for o, owner in enumerate(owners):
        values = [each[o] for each in left_out]
        mean = sum(values, Fraction(0)) / many
        squares[owner] = uneven * Fraction(many - 1, many) * sum((v - mean) ** 2 for v in values)
    return squares


def root(square):
    """A square root to about 400 bits: close enough to be exact for money."""
    bits = 400
    return Fraction(isqrt((square.numerator << 2 * bits) // square.denominator), 1 << bits)


def bound(policy, event):
    """z: the policy's own, or Student's t of the event's units, up to four decimals."""
    if policy.multiplier is not None:
        return Fraction(policy.multiplier, 10_000)
    freedom = len({member.unit for member in event.members}) - 1
    return Fraction(ceil(10_000 * stdtrit(freedom, policy.confidence / 1000)), 10_000)


def amounts(policy, events):
    """Exact amounts in minor units: ({owner: paid}, {owner: escrow}, unallocated)."""
    whole = sum(each.weight for each in events)
    paid, held, nobody = {}, {}, Fraction(0)
    for each in events:
        pool = Fraction(policy.pool * each.weight, whole if policy.spread == "period" else 1)
        owners = sorted(each.scores)
        by_owner = shares([sum(each.scores[owner]) for owner in owners])
        if not any(by_owner):
            nobody += pool
            continue
        errors = {owner: root(square) for owner, square in jackknife_squared(each).items()}
        for owner, share in zip(owners, by_owner, strict=True):
            lower = max(share - bound(policy, each) * errors[owner], Fraction(0))
            paid[owner] = paid.get(owner, 0) + pool * lower
            held[owner] = held.get(owner, 0) + pool * (share - lower)
    return paid, held, nobody


def hamilton(exact, total):
    """Largest remainder, one unit at a time."""
    units = {key: amount.numerator // amount.denominator for key, amount in exact.items()}
    waiting = sorted(exact)
    while sum(units.values()) < total:
        best = max(waiting, key=lambda key: exact[key] - units[key])  # the first of several
        waiting.remove(best)
        units[best] += 1
    return units
