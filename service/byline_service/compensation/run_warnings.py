"""Warnings about runs, in words."""

from byline.api.statements import RunWarning, StoredWarning, WarningKind
from byline_service.compensation.money import format_minor

_WORDS: dict[WarningKind, str] = {
    "refused": "Events of the period that are not paid for: {events}. See their reasons.",
    "late": "Late events of earlier, paid periods in this run: {events}.",
    "late_refused": "Late events of earlier, paid periods that are not paid for: {events}.",
    "late_waiting": "Late events of earlier, paid periods beyond the limits of one run: {events}. They wait.",
    "earlier_unpaid": "Unpaid events of earlier periods without a posted run: {events}.",
    "paid_elsewhere": "Events of the period that the policy {policy} has paid for, not in this run: {events}.",
    "paid_in_other_group": "Events of this run that the policy {policy} of another group has paid for too: {events}.",
    "budget_exceeded": "The events cost {amount} more than the budget allows. They are paid in proportion.",
    "fallback": "Events without reliable attribution, divided by the policy's fallback: {events}.",
    "held": "Amounts that a hold, a dispute or a missing consent keeps from being paid: {amount}.",
    "unclaimed": "Amounts of rights that the rights table gives to no party: {amount}. No payout pays them.",
    "holds_ended": "Holds that ended, and works allowed again, since the period began: {events}.",
    "released_in_spite": "This run pays {amount} to owners with a hold, a dispute or a missing consent in force.",
    "budget_left": "Rest of the period's budget after this run: {amount}.",
}


def in_words(warning: StoredWarning, currency: str) -> RunWarning:
    """Write a warning in words.

    Args:
        warning: The warning.
        currency: Currency of its amount.
    """
    amount = "" if warning.amount is None else f"{format_minor(warning.amount, currency)} {currency}"
    text = _WORDS[warning.kind].format(events=f"{warning.events:,}", amount=amount, policy=warning.policy)
    return RunWarning(**warning.model_dump(), text=text)
