"""Statement runs: drafted, approved by another person, then posted, or void. Every step is a journal record."""

import asyncio
import secrets

from byline.api.statements import Step
from byline_service.accounts import audit
from byline_service.accounts.makers import makers_of
from byline_service.accounts.scopes import Caller
from byline_service.compensation.budgets import (
    Division,
    require_budget,
    require_current,
    require_few_drafts,
    require_finished,
)
from byline_service.compensation.calendar import last_finished, period_named
from byline_service.compensation.drafting import Release, draft_allocation, draft_release, draft_reversal
from byline_service.compensation.journal import Hand, RunDrafted, RunStepped
from byline_service.compensation.period_events import Search
from byline_service.compensation.runs import (
    Run,
    RunConflict,
    balances_after,
    require_balanced,
    require_known_restrictions,
)
from byline_service.compensation.splits import day_of, require_current_splits
from byline_service.compensation.statements import (
    AllocationStatement,
    PayoutStatement,
    ReleaseStatement,
    ReversalStatement,
    Statement,
)
from byline_service.database import Connection, Database
from byline_service.ledger import (
    candidate_queries,
    entry_queries,
    event_queries,
    holding,
    journal_queries,
    party_queries,
    payout_queries,
    policy_queries,
    rights_queries,
    statement_queries,
)
from byline_service.ledger.entry_queries import Posting
from byline_service.ledger.journal_queries import ChainHead
from byline_service.ledger.statement_queries import RunRow


async def prepare_division(
    database: Database, kind: Division, name: str, period: str | None
) -> AllocationStatement:
    """Divide what a period's budget has left over its events, as the journal has them now.

    Args:
        database: The database. It is only read.
        kind: `allocation` for an unpaid period, `adjustment` for late events of a paid one.
        name: The policy. Its newest revision is used.
        period: Name of the period. None for the last one that has ended.

    Returns:
        The statement.

    Raises:
        NotFound: There is no such policy.
        NotPayable: None of the events can be paid for.
        InvalidInput: The period has not ended, or there are no events, or too many.
        RunConflict: The period is paid, or nothing is left of its budget.
    """
    async with database.read() as reading:
        basis = await journal_queries.last_sequence(reading)
        policy = await policy_queries.find(reading, name)
        now = await journal_queries.next_moment(reading)
        chosen = period_named(policy.period, period) if period else last_finished(policy.period, now)
        require_finished(chosen, now)
        search = Search(policy=policy, kind=kind, period=chosen, basis=basis)
        found = await candidate_queries.candidates(reading, search)
    return await asyncio.to_thread(draft_allocation, policy, found)


async def draft(transaction: Connection, caller: Caller, statement: Statement) -> RunRow:
    """Draft a run.

    Args:
        transaction: The open transaction.
        caller: The person who drafts. Another person must approve.
        statement: The statement that the run would post.

    Returns:
        The run.

    Raises:
        InvalidInput: The period has not ended by the clock of this moment.
        RunConflict: The policy has the most open runs that it may have.
    """
    place = await journal_queries.next_position(transaction)
    if isinstance(statement, AllocationStatement):
        require_finished(period_named(statement.policy.period, statement.period), place.at)
    return await _drafted(transaction, caller, place, statement)


async def release(transaction: Connection, caller: Caller, name: str, wanted: Release) -> RunRow:
    """Draft a run that releases a policy's escrow or held amounts.

    Args:
        transaction: The open transaction.
        caller: The person who drafts.
        name: The policy.
        wanted: Account, reason and amounts.

    Raises:
        NotFound: There is no such policy.
        RunConflict: An account holds less, or there is nothing to release.
    """
    place = await journal_queries.next_position(transaction)
    policy = await policy_queries.find(transaction, name)
    balances = await entry_queries.balances(transaction, name)
    in_force = await holding.restrictions(transaction)
    shares = await rights_queries.shares(transaction, policy, place.sequence - 1)
    statement = draft_release(policy, wanted, balances, day_of(place.at), in_force, shares)
    return await _drafted(transaction, caller, place, statement)


async def reverse(transaction: Connection, caller: Caller, run_id: str, reason: str) -> RunRow:
    """Draft a run that reverses a posted run.

    Args:
        transaction: The open transaction.
        caller: The person who drafts.
        run_id: The posted run.
        reason: The reason, in words.

    Raises:
        NotFound: There is no such run.
        RunConflict: The run is not posted, or is reversed already.
    """
    place = await journal_queries.next_position(transaction)
    _, run = await statement_queries.find(transaction, run_id)
    await require_reversible(transaction, run_id)
    return await _drafted(transaction, caller, place, draft_reversal(run, reason))


async def approve(transaction: Connection, caller: Caller, run_id: str) -> RunRow:
    """Approve the draft of another person.

    Raises:
        NotFound: There is no such run.
        RunConflict: The run is not a draft. Or its policy, a rights table or a party was revised, or a paid owner was put on
            hold since.
        SamePerson: The caller drafted the run, or one person could hold both keys.
    """
    place = await journal_queries.next_position(transaction)
    _, run = await statement_queries.find(transaction, run_id)
    run.require_approvable(caller.person, await makers_of(transaction, caller))
    await _require_payable_now(transaction, place, run.statement)
    return await _stepped(transaction, caller, place, run, "approval")


async def reject(transaction: Connection, caller: Caller, run_id: str, comment: str) -> RunRow:
    """Reject a run of another person that is not posted.

    Args:
        transaction: The open transaction.
        caller: The person who rejects.
        run_id: The run.
        comment: The reason, in words.

    Raises:
        NotFound: There is no such run.
        RunConflict: The run is posted, rejected or void.
        SamePerson: The caller drafted the run.
    """
    place = await journal_queries.next_position(transaction)
    _, run = await statement_queries.find(transaction, run_id)
    run.require_rejectable(caller.person, comment)
    return await _stepped(transaction, caller, place, run, "rejection", comment)


async def void(transaction: Connection, caller: Caller, run_id: str) -> RunRow:
    """Void a run that is not posted.

    Raises:
        NotFound: There is no such run.
        RunConflict: The run is posted or void.
    """
    place = await journal_queries.next_position(transaction)
    _, run = await statement_queries.find(transaction, run_id)
    run.require_voidable()
    return await _stepped(transaction, caller, place, run, "void")


async def post(transaction: Connection, caller: Caller, run_id: str) -> RunRow:
    """Post an approved run: write its entries into the ledger.

    Raises:
        NotFound: There is no such run.
        RunConflict: The run is not approved. Or its policy, a rights table or a party was revised, its period or one of its
            events was paid for in the meantime, a paid owner was put on hold, or an account holds less than the run takes.
    """
    place = await journal_queries.next_position(transaction)
    row, run = await statement_queries.find(transaction, run_id)
    run.require_postable()
    entries = run.statement.entries()
    require_balanced(entries)
    await _require_payable_now(transaction, place, run.statement)
    claims = await _claims(transaction, run.statement)
    divisions = await candidate_queries.posted_divisions(transaction, row.policy)
    require_budget(run.statement, divisions, place.sequence - 1)
    balances_after(run.statement, await entry_queries.balances(transaction, row.policy))
    stepped = await _stepped(transaction, caller, place, run, "posting")
    posting = Posting(place.sequence, run_id, row.policy, row.currency)
    await entry_queries.add(transaction, posting, entries)
    await event_queries.add_claims(transaction, run.statement.policy, claims, run_id, place.sequence)
    return stepped


async def _require_payable_now(transaction: Connection, place: ChainHead, statement: Statement) -> None:
    """Check that policy, restrictions, rights, parties and accounts are those that the run was drafted on."""
    require_current(statement, await policy_queries.find(transaction, statement.policy.name))
    require_known_restrictions(statement, await holding.restrictions(transaction))
    if isinstance(statement, PayoutStatement):
        payees = {line.owner: line.payee for line in statement.lines if line.payee is not None}
        await party_queries.require_recorded_accounts(transaction, payees)
    if isinstance(statement, AllocationStatement | ReleaseStatement):
        shares = await rights_queries.shares(transaction, statement.policy, place.sequence - 1)
        require_current_splits(statement, shares)


async def _claims(transaction: Connection, statement: Statement) -> list[tuple[str, int]]:
    """Return the events that a run pays for or reverses, each with its number of earlier claims."""
    paid: Statement = statement
    if isinstance(statement, ReversalStatement):
        await require_reversible(transaction, statement.run)
        _, run = await statement_queries.find(transaction, statement.run)
        paid = run.statement
    if not isinstance(paid, AllocationStatement):
        return []
    ids = [event.id for event in paid.events]
    before = await event_queries.claims_of(transaction, paid.policy.group, ids)
    claims = [(event_id, before.get(event_id, 0)) for event_id in ids]
    if any(claim % 2 != (paid is not statement) for _, claim in claims):
        raise RunConflict(
            "expected events that no posted run has paid for, one was paid for since: void the run and draft it again"
        )
    return claims


async def require_reversible(transaction: Connection, run_id: str) -> None:
    """Check that a run is not reversed, and that no bank has confirmed its transfers.

    Raises:
        RunConflict: It is reversed, or it is a payout that is paid.
    """
    if await statement_queries.is_reversed(transaction, run_id):
        raise RunConflict("expected a run that is not reversed, this one is")
    if await payout_queries.confirmation(transaction, run_id) is not None:
        raise RunConflict("expected a payout that the bank has not confirmed, this one is paid")


async def _drafted(transaction: Connection, caller: Caller, place: ChainHead, statement: Statement) -> RunRow:
    require_few_drafts(await statement_queries.count_open(transaction, statement.policy.name))
    run_id = secrets.token_hex(16)
    record = await journal_queries.write(
        transaction,
        place,
        caller.person,
        RunDrafted(run=run_id, statement=statement, by=await hand_of(transaction, caller)),
    )
    await statement_queries.add(transaction, record)
    details = {"kind": statement.kind, "policy": statement.policy.name, "sha256": statement.sha256}
    await audit.record(transaction, caller, "statement-runs.draft", run_id, details)
    return (await statement_queries.find(transaction, run_id))[0]


async def _stepped(
    transaction: Connection,
    caller: Caller,
    place: ChainHead,
    run: Run,
    step: Step,
    comment: str | None = None,
) -> RunRow:
    digest = run.statement.sha256
    by = await hand_of(transaction, caller)
    fact = RunStepped(kind=step, run=run.id, digest=digest, by=by, comment=comment)
    await statement_queries.add_step(
        transaction, await journal_queries.write(transaction, place, caller.person, fact)
    )
    await audit.record(transaction, caller, f"statement-runs.{step}", run.id, {"sha256": digest})
    return (await statement_queries.find(transaction, run.id))[0]


async def hand_of(transaction: Connection, caller: Caller) -> Hand:
    """Return the key behind an act, and its makers."""
    return Hand(key=caller.key_id or None, makers=await makers_of(transaction, caller))
