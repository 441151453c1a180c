"""Payouts: prepared by one person, approved and posted like every run, and confirmed by the bank's statement."""

from byline.api.payouts import ConfirmationBody
from byline.errors import InvalidInput
from byline_service.accounts import audit
from byline_service.accounts.makers import makers_of
from byline_service.accounts.scopes import Caller
from byline_service.compensation.journal import PayoutConfirmed
from byline_service.compensation.payouts import (
    WantedPayout,
    confirmed_entries,
    draft_payout,
    require_value_date,
)
from byline_service.compensation.runs import RunConflict, require_balanced
from byline_service.compensation.timestamps import parse_day
from byline_service.database import Connection
from byline_service.ledger import (
    entry_queries,
    holding,
    journal_queries,
    party_queries,
    payout_queries,
    policy_queries,
    run_workflow,
    statement_queries,
)
from byline_service.ledger.entry_queries import Posting
from byline_service.ledger.statement_queries import RunRow


async def prepare(transaction: Connection, caller: Caller, name: str, wanted: WantedPayout) -> RunRow:
    """Draft a payout.

    Args:
        transaction: The open transaction.
        caller: The person who prepares it. Another person must approve it.
        name: The policy.
        wanted: Amounts and accounts.

    Raises:
        NotFound: There is no such policy.
        RunConflict: Less is payable, or the policy has the most open runs.
        InvalidInput: An account is not valid, or is not the one of the owner's party.
    """
    await journal_queries.next_position(transaction)  # nobody else writes until the end of this transaction
    policy = await policy_queries.find(transaction, name)
    await party_queries.require_recorded_accounts(transaction, wanted.payees or {})
    dues = await payout_queries.dues(transaction, name)
    statement = draft_payout(policy, wanted, dues, await holding.restrictions(transaction))
    return await run_workflow.draft(transaction, caller, statement)


async def confirm(transaction: Connection, caller: Caller, run_id: str, body: ConfirmationBody) -> RunRow:
    """Book a posted payout as paid.

    Args:
        transaction: The open transaction.
        caller: The person who read the bank's statement: another one than prepared the payout.
        run_id: Run of the payout.
        body: Reference, value date and returned transfers.

    Raises:
        NotFound: There is no such run.
        RunConflict: The payout is not posted, confirmed or reversed, or another one has the reference.
        SamePerson: The caller prepared the payout, or one person could hold both keys.
        InvalidInput: The value date or a returned owner does not fit.
    """
    place = await journal_queries.next_position(transaction)
    row, run = await statement_queries.find(transaction, run_id)
    by = await run_workflow.hand_of(transaction, caller)
    statement = run.require_confirmable(caller.person, await makers_of(transaction, caller))
    await run_workflow.require_reversible(transaction, run_id)
    if await payout_queries.has_reference(transaction, body.reference):
        raise RunConflict("expected a reference that no payout has, another payout has this one")
    value_date = parse_day(body.value_date)
    require_value_date(value_date, row.drafted_at, place.at)
    if len(set(body.returned)) != len(body.returned):
        raise InvalidInput("expected each returned owner once, got one twice")
    entries = confirmed_entries(statement, body.returned)
    require_balanced(entries)
    fact = PayoutConfirmed(
        run=run_id,
        digest=statement.sha256,
        reference=body.reference,
        value_date=value_date,
        returned=tuple(sorted(body.returned)),
        by=by,
    )
    record = await journal_queries.write(transaction, place, caller.person, fact)
    await payout_queries.add_confirmation(transaction, record)
    await entry_queries.add(transaction, Posting(place.sequence, run_id, row.policy, row.currency), entries)
    details = {"sha256": statement.sha256, "reference": body.reference}
    await audit.record(transaction, caller, "payouts.confirmation", run_id, details)
    return (await statement_queries.find(transaction, run_id))[0]
