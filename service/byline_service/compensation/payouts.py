"""Payouts: payable amounts go to the bank, and its statement confirms them.

    payable  -> transit            the approved payout is posted, and its file goes to the bank
    transit  -> paid or payable    the bank's statement confirms each transfer, or tells that it came back

A run that is reversed after its amounts were paid leaves a negative `payable`, a receivable r. The next runs net it:

    payout = max(payable, 0),   netted = sum of min(amount, r) over the amounts of later runs
"""

import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

from byline.api.payouts import Payee, Receivable
from byline.api.statements import StoredWarning
from byline.errors import InvalidInput
from byline.names.skeletons import IGNORABLE
from byline_service.compensation.payees import require_payable_account
from byline_service.compensation.policy import Policy
from byline_service.compensation.restrictions import Restriction, Restrictions
from byline_service.compensation.runs import RunConflict
from byline_service.compensation.statements import Entry, PayoutLine, PayoutStatement
from byline_service.compensation.timestamps import parse_timestamp

MOST_LINES = 100_000
"""Most owners of one payout."""


class Move(NamedTuple):
    """A change of an owner's `payable` account."""

    owner: str
    """The owner."""
    amount: int
    """Amount in minor units: positive into the account, negative out of it."""
    payout: bool
    """Whether a payout or its confirmation made the change."""


@dataclass(frozen=True)
class Due:
    """The state of an owner's `payable` account."""

    balance: int = 0
    """Balance in minor units. A negative one is a receivable."""
    netted: int = 0
    """Receivable that was paid back since the owner's last payout."""

    def after(self, move: Move) -> "Due":
        """Return the state after a change."""
        balance = self.balance + move.amount
        if move.payout:
            return Due(balance, 0 if move.amount < 0 else self.netted)
        paid_back = max(0, -self.balance) - max(0, -balance)  # less than zero for a reversal
        return Due(balance, max(0, self.netted + paid_back))


def dues_of(moves: Iterable[Move]) -> dict[str, Due]:
    """Return the state of each owner's `payable` account.

    Args:
        moves: All changes of a policy's `payable` accounts, in the order of the journal.
    """
    found: dict[str, Due] = {}
    for move in moves:
        found[move.owner] = found.get(move.owner, Due()).after(move)
    return found


def netted(payable: int, receivable: int) -> int:
    """Return the part of a run's payable amount that pays a receivable back.

    Args:
        payable: The amount. A negative one takes back.
        receivable: Receivable before the run.
    """
    return min(max(0, payable), receivable)


@dataclass(frozen=True, kw_only=True)
class WantedPayout:
    """A payout that a person asks for."""

    amounts: Mapping[str, int] | None = None
    """Minor units by owner. None pays the whole balance of every owner without a restriction."""
    payees: Mapping[str, Payee] | None = None
    """Accounts of owners."""


def draft_payout(
    policy: Policy, wanted: WantedPayout, dues: Mapping[str, Due], restrictions: Iterable[Restriction] = ()
) -> PayoutStatement:
    """Prepare a payout.

    Args:
        policy: The policy of the payable accounts.
        wanted: Amounts and accounts.
        dues: States of the payable accounts.
        restrictions: Holds, disputes and missing consent that are in force.

    Returns:
        The statement.

    Raises:
        RunConflict: Nothing is payable, or less than an amount.
        InvalidInput: An account is of an owner without a line, or is not valid.
    """
    known = Restrictions(restrictions)
    payable = {owner: due.balance for owner, due in dues.items() if due.balance > 0}
    amounts = wanted.amounts
    if amounts is None:
        amounts = {owner: amount for owner, amount in payable.items() if not known.about([owner])}
    if not amounts:
        raise RunConflict(
            "expected a payable amount, found none"
            + (": name the amounts of owners with a hold, a dispute or a missing consent" if payable else "")
        )
    if len(amounts) > MOST_LINES:
        raise InvalidInput(f"expected a payout to at most {MOST_LINES} owners, got more: name their amounts")
    if any(not 0 < amount <= payable.get(owner, 0) for owner, amount in amounts.items()):
        raise RunConflict("expected amounts of at most what is payable to each owner, got more for one")
    payees = wanted.payees or {}
    if set(payees) - set(amounts):
        raise InvalidInput("expected accounts of owners with an amount, got one of another owner")
    for payee in payees.values():
        require_payable_account(payee)
    in_spite = sum(amount for owner, amount in amounts.items() if known.about([owner]))
    return PayoutStatement(
        policy=policy,
        restrictions=known.about(sorted(amounts)),
        warnings=(StoredWarning(kind="released_in_spite", amount=in_spite),) if in_spite else (),
        lines=tuple(
            PayoutLine(owner=owner, amount=amount, netted=dues[owner].netted, payee=payees.get(owner))
            for owner, amount in sorted(amounts.items())
        ),
        receivables=tuple(
            Receivable(owner=owner, amount=-due.balance)
            for owner, due in sorted(dues.items())
            if due.balance < 0
        ),
    )


def confirmed_entries(statement: PayoutStatement, returned: Collection[str]) -> tuple[Entry, ...]:
    """Return the entries of a confirmation: out of `transit`, into `paid`, or back into `payable`.

    Args:
        statement: Statement of the payout.
        returned: Owners whose transfer the bank returned.

    Raises:
        InvalidInput: A returned owner has no line.
    """
    if set(returned) - {line.owner for line in statement.lines}:
        raise InvalidInput("expected returned transfers of the payout's owners, got another owner")
    back = set(returned)
    return tuple(
        entry
        for line in statement.lines
        for entry in (
            Entry(account="transit", owner=line.owner, amount=-line.amount),
            Entry(account="payable" if line.owner in back else "paid", owner=line.owner, amount=line.amount),
        )
    )


def reference_key(reference: str) -> str:
    """Return the form of a bank's reference that is unique: without spaces, case, marks, and variants of characters.

    Raises:
        InvalidInput: The reference has control characters, only spaces, or letters that are not Latin.
    """
    if not reference.isprintable() or IGNORABLE.search(reference):
        raise InvalidInput("expected a reference without control or invisible characters, got one")
    plain = "".join(map(_plain, unicodedata.normalize("NFKD", reference)))
    folded = "".join(plain.casefold().split())
    if not folded:
        raise InvalidInput("expected the reference of the bank, got spaces")
    if not folded.isascii():
        raise InvalidInput(
            "expected a reference in Latin letters, digits and signs, as banks write it, got others"
        )
    return folded


def _plain(each: str) -> str:
    """Return a character without a mark, and one sign for all dashes."""
    category = unicodedata.category(each)
    return "" if category.startswith("M") else "-" if category == "Pd" else each


def require_value_date(value_date: date, drafted_at: str, now: str) -> None:
    """Check that a value date lies between the payout's preparation and today, give or take a time zone.

    Args:
        value_date: The value date.
        drafted_at: Time of the preparation.
        now: Current time.

    Raises:
        InvalidInput: It does not.
    """
    day = timedelta(days=1)
    first, last = parse_timestamp(drafted_at).date() - day, parse_timestamp(now).date() + day
    if not first <= value_date <= last:
        raise InvalidInput(
            f"expected a value date from {first} to {last}: after the preparation, and not in the future"
        )
