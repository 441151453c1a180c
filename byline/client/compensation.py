"""Booking and paying: what the methods of both clients send.

Whatever costs money is sent under an `Idempotency-Key`, so that it happens once however often it is sent. One is made for
each call, unless the caller names one, as must be done to repeat a call of a program that was restarted in between.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, TypeVar, Unpack

from pydantic import BaseModel

from byline.api.attributions import IndexInfo
from byline.api.compensation import (
    EventDetails,
    EventDocument,
    EventPage,
    PolicyBody,
    PolicyDocument,
    PolicyPage,
)
from byline.api.statements import (
    AllocationBody,
    BalanceDocument,
    BalanceList,
    EntryDocument,
    LedgerPage,
    ReleaseBody,
    ReversalBody,
    RunDocument,
    RunPage,
    StatementDocument,
    VerificationDocument,
)
from byline.client import indexes
from byline.client.attributions import Payload
from byline.client.calls import Body, Call, Flow, JsonBody, Pages, document, entries_of, get, one, path_of
from byline.client.gradients import gradient_of
from byline.client.tensors import TensorsBody

if TYPE_CHECKING:
    from torch import Tensor

    from byline.client.gradients import Loss, Models

D = TypeVar("D", bound=BaseModel)


class Once(TypedDict):
    """How a call is told from its repetitions."""

    idempotency_key: NotRequired[str]
    """Up to 200 printable ASCII characters; the same for the same thing to be done. By default a new one."""


class Booking(Once):
    """What an event is booked with."""

    weight: NotRequired[int]
    """How much of the pool it draws, relative to other events: 1."""
    reference: NotRequired[str]
    """The caller's own name for the generation."""
    target: NotRequired[str]
    """Of queries: one of the index's `targets`; by default the recipe's."""


class GradientBooking(Once):
    """What an event of a gradient is booked with."""

    weight: NotRequired[int]
    """How much of the pool it draws, relative to other events: 1."""
    reference: NotRequired[str]
    """The caller's own name for the generation."""


def book_event(index: str, query: Payload, **booking: Unpack[Booking]) -> Flow[EventDocument]:
    """Attribute one generation, and book what each owner's score was.

    Args:
        index: Its name.
        query: As the index's `query_schema` has it, with what was generated.
        **booking: Weight, reference, target.
    """
    return one(_book(index, JsonBody.of({"query": dict(query)} | _booked(booking)), booking))


def book_event_set(index: str, queries: Sequence[Payload], **booking: Unpack[Booking]) -> Flow[EventDocument]:
    """Book the mean of the target over several queries as one event.

    Args:
        index: Its name.
        queries: The queries.
        **booking: Weight, reference, target.
    """
    asked = {"query_set": [dict(query) for query in queries]}
    return one(_book(index, JsonBody.of(asked | _booked(booking)), booking))


def book_event_feature(
    index: str, feature: Sequence[float], **booking: Unpack[GradientBooking]
) -> Flow[EventDocument]:
    """Book an event whose query feature is at hand.

    Args:
        index: Its name.
        feature: As many numbers as the index's `width`.
        **booking: Weight, reference.
    """
    asked = {"feature": [float(number) for number in feature]}
    return one(_book(index, JsonBody.of(asked | _booked(booking)), booking))


def book_event_tensors(
    index: str, tensors: "Mapping[str, Tensor]", **booking: Unpack[GradientBooking]
) -> Flow[EventDocument]:
    """Book an event whose gradient is at hand.

    Args:
        index: Its name.
        tensors: By `member/parameter`, named and shaped as the index's `gradients` lists them.
        **booking: Weight, reference.
    """
    query = [(name, str(value)) for name, value in _booked(booking).items()]
    return one(_book(index, TensorsBody(tensors), booking, query))


def book_event_gradient(
    index: str, model: "Models", loss: "Loss", **booking: Unpack[GradientBooking]
) -> Flow[EventDocument]:
    """Book an event by the gradient of its loss in the caller's own model; see `attribute_gradient`.

    Args:
        index: Its name.
        model: The model, or models by member.
        loss: A function of the model that returns one number.
        **booking: Weight, reference.

    Yields:
        The calls.

    Returns:
        The event.
    """
    info: IndexInfo = yield from indexes.index(index)
    return (yield from book_event_tensors(index, gradient_of(model, loss, info), **booking))


def events(index: str, page_size: int | None = None) -> Pages[EventDocument]:
    """Go through the events of an index, the newest first, page by page.

    Args:
        index: Its name.
        page_size: Events that are fetched at a time.
    """
    read = entries_of(EventPage, lambda page: page.events)
    path = path_of("indexes", index, "events")
    return Pages(path=path, read=read, page_size=page_size, cursor="before")


def event(index: str, event_id: str) -> Flow[EventDetails]:
    """Read an event with its scores and shares.

    Args:
        index: Its name.
        event_id: The event.
    """
    return get(path_of("indexes", index, "events", event_id), document(EventDetails))


def revise_policy(policy: PolicyBody, **how: Unpack[Once]) -> Flow[PolicyDocument]:
    """Make a policy, or add a revision to it.

    Args:
        policy: A new name makes one; a known one adds a revision.
        **how: The idempotency key.
    """
    return one(_once("policies", document_of=PolicyDocument, body=_sent(policy), how=how))


def policies(page_size: int | None = None) -> Pages[PolicyDocument]:
    """Go through the newest revisions of all policies, by name, page by page.

    Args:
        page_size: Policies that are fetched at a time.
    """
    read = entries_of(PolicyPage, lambda page: page.policies)
    return Pages(path=path_of("policies"), read=read, page_size=page_size)


def policy(name: str) -> Flow[list[PolicyDocument]]:
    """Read every revision of a policy, the first first.

    Args:
        name: The policy.
    """
    return get(path_of("policies", name), lambda body: PolicyPage.model_validate_json(body).policies)


def draft_run(draft: AllocationBody | ReleaseBody | ReversalBody, **how: Unpack[Once]) -> Flow[RunDocument]:
    """Draft a statement run: divide a pool, pay escrow out, or take a posted run back.

    Args:
        draft: What it does.
        **how: The idempotency key.
    """
    sent = JsonBody.of({"draft": draft.model_dump(mode="json", exclude_unset=True)})
    return one(_once("statement-runs", document_of=RunDocument, body=sent, how=how))


def approve_run(run: str, **how: Unpack[Once]) -> Flow[RunDocument]:
    """Approve a draft; the person who drafted it cannot.

    Args:
        run: The run.
        **how: The idempotency key.
    """
    return one(_once("statement-runs", run, "approve", document_of=RunDocument, how=how))


def post_run(run: str, **how: Unpack[Once]) -> Flow[RunDocument]:
    """Post an approved run: its entries go into the ledger.

    Args:
        run: The run.
        **how: The idempotency key.
    """
    return one(_once("statement-runs", run, "post", document_of=RunDocument, how=how))


def void_run(run: str, **how: Unpack[Once]) -> Flow[RunDocument]:
    """Give a run up that is not posted; a posted one is taken back by a reversal.

    Args:
        run: The run.
        **how: The idempotency key.
    """
    return one(_once("statement-runs", run, "void", document_of=RunDocument, how=how))


def run(run: str) -> Flow[RunDocument]:
    """Read where a run stands.

    Args:
        run: The run.
    """
    return get(path_of("statement-runs", run), document(RunDocument))


def runs(policy: str | None = None, page_size: int | None = None) -> Pages[RunDocument]:
    """Go through the statement runs, the newest first, page by page.

    Args:
        policy: Only this policy's.
        page_size: Runs that are fetched at a time.
    """
    read = entries_of(RunPage, lambda page: page.runs)
    query = _of_policy(policy)
    return Pages(path=path_of("statement-runs"), read=read, query=query, page_size=page_size, cursor="before")


def statements(page_size: int | None = None) -> Pages[RunDocument]:
    """Go through the posted runs, the newest first, page by page; those that the key sees a line of.

    Args:
        page_size: Runs that are fetched at a time.
    """
    read = entries_of(RunPage, lambda page: page.runs)
    return Pages(path=path_of("statements"), read=read, page_size=page_size, cursor="before")


def statement(run: str, owner: str | None = None) -> Flow[StatementDocument]:
    """Read a run's statement: each owner's line, and what they add up to.

    Args:
        run: The run.
        owner: Only this owner's line.
    """
    return get(path_of("statements", run), document(StatementDocument), _of_owner(owner))


def statement_csv(run: str, owner: str | None = None) -> Flow[str]:
    """Read a statement's lines as CSV for a spreadsheet; amounts are in major units.

    Args:
        run: The run.
        owner: Only this owner's line.
    """
    return get(f"{path_of('statements', run)}.csv", bytes.decode, _of_owner(owner))


def ledger(policy: str | None = None, page_size: int | None = None) -> Pages[EntryDocument]:
    """Go through the ledger's entries in their order, page by page.

    Args:
        policy: Only this policy's.
        page_size: Entries that are fetched at a time.
    """
    read = entries_of(LedgerPage, lambda page: page.entries)
    return Pages(path=path_of("ledger"), read=read, query=_of_policy(policy), page_size=page_size)


def balances(policy: str | None = None) -> Flow[list[BalanceDocument]]:
    """Add up the ledger's accounts, by policy, account and owner.

    Args:
        policy: Only this policy's.
    """
    path = path_of("ledger", "balances")
    return get(path, lambda body: BalanceList.model_validate_json(body).balances, _of_policy(policy))


def verify_ledger() -> Flow[VerificationDocument]:
    """Have the journal held to its rules and every statement computed again; takes a while.

    Returns:
        How much was verified, and what is wrong: empty `findings` where nothing is.
    """
    return get(path_of("ledger", "verification"), document(VerificationDocument))


def _of_policy(policy: str | None) -> list[tuple[str, str]]:
    return [] if policy is None else [("policy", policy)]


def _of_owner(owner: str | None) -> list[tuple[str, str]]:
    return [] if owner is None else [("owner", owner)]


def _booked(booking: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in booking.items() if name != "idempotency_key"}


def _sent(body: BaseModel) -> JsonBody:
    return JsonBody.of(body.model_dump(mode="json", exclude_unset=True))


def _book(
    index: str, body: Body, booking: Mapping[str, Any], query: Sequence[tuple[str, str]] = ()
) -> Call[EventDocument]:
    return _once("indexes", index, "events", document_of=EventDocument, body=body, how=booking, query=query)


def _once(
    *path: str,
    document_of: type[D],
    how: Mapping[str, Any],
    body: Body | None = None,
    query: Sequence[tuple[str, str]] = (),
) -> Call[D]:
    """A call that happens once: it may be sent again, since it says which one it is."""
    return Call(
        method="POST",
        path=path_of(*path),
        read=document(document_of),
        query=query,
        body=body,
        headers={"Idempotency-Key": how.get("idempotency_key") or secrets.token_hex(16)},
        repeatable=True,
    )
