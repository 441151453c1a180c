"""Calls for events, policies, statement runs and the ledger.

The client sends each change of money with an `Idempotency-Key`, so that repeated attempts have one effect. It makes a new
key for each call. Pass your own key to repeat a call after a restart of your program.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NotRequired, Unpack

from byline.api.attributions import IndexInfo
from byline.api.compensation import (
    EventDetails,
    EventDocument,
    PolicyBody,
    PolicyDocument,
)
from byline.api.owner_accounts import OwnerAccounts, OwnerAccountsPage, OwnerSearch, OwnerStatement
from byline.api.page import Page
from byline.api.receipts import Receipt, SigningKeyDocument
from byline.api.rosters import RosterDocument
from byline.api.run_previews import RunPreview
from byline.api.statements import (
    AdjustmentBody,
    AllocationBody,
    BalanceDocument,
    BalancePage,
    EntryDocument,
    ReleaseBody,
    ReversalBody,
    RunDocument,
    StatementDocument,
    VerificationDocument,
)
from byline.api.works import LineEvent
from byline.client import indexes
from byline.client.attributions import Payload
from byline.client.calls import Body, Call, Flow, JsonBody, Pages, document, get, one, path_of
from byline.client.gradients import gradient_of
from byline.client.once import Once, once, sent
from byline.client.tensors import TensorsBody

if TYPE_CHECKING:
    from torch import Tensor

    from byline.client.gradients import Loss, Models


class Booking(Once):
    """The options of an event."""

    weight: NotRequired[int]
    """Weight of the event when a pool is divided. The default is 1."""
    reference: NotRequired[str]
    """Your own name for the generation."""
    target: NotRequired[str]
    """One of the index's `targets`. The recipe sets the default."""


class GradientBooking(Once):
    """The options of an event of a gradient or a feature."""

    weight: NotRequired[int]
    """Weight of the event when a pool is divided. The default is 1."""
    reference: NotRequired[str]
    """Your own name for the generation."""


def book_event(index: str, query: Payload, **booking: Unpack[Booking]) -> Flow[EventDocument]:
    """Attribute one generation and book the score of each owner.

    Args:
        index: Name of the index.
        query: Query that fits the index's `query_schema`, including the generated output.
        **booking: Weight, reference, target and idempotency key.
    """
    return one(_book(index, JsonBody.of({"query": dict(query)} | _booked(booking)), booking))


def book_event_set(index: str, queries: Sequence[Payload], **booking: Unpack[Booking]) -> Flow[EventDocument]:
    """Book the mean target over several queries as one event.

    Args:
        index: Name of the index.
        queries: Queries that fit the index's `query_schema`.
        **booking: Weight, reference, target and idempotency key.
    """
    asked = {"query_set": [dict(query) for query in queries]}
    return one(_book(index, JsonBody.of(asked | _booked(booking)), booking))


def book_event_feature(
    index: str, feature: Sequence[float], **booking: Unpack[GradientBooking]
) -> Flow[EventDocument]:
    """Book an event of a finished query feature.

    Args:
        index: Name of the index.
        feature: Numbers of the feature, as many as the index's `width`.
        **booking: Weight, reference and idempotency key.
    """
    asked = {"feature": [float(number) for number in feature]}
    return one(_book(index, JsonBody.of(asked | _booked(booking)), booking))


def book_event_receipt(
    index: str, receipt: Receipt, **booking: Unpack[GradientBooking]
) -> Flow[EventDocument]:
    """Book the event of an answer, from its signed receipt. A receipt is booked once.

    Args:
        index: Name of the index.
        receipt: Receipt of an answer that lists all owners by member.
        **booking: Weight, reference and idempotency key.
    """
    asked = {"receipt": receipt.model_dump(mode="json")}
    return one(_book(index, JsonBody.of(asked | _booked(booking)), booking))


def book_event_tensors(
    index: str, tensors: "Mapping[str, Tensor]", **booking: Unpack[GradientBooking]
) -> Flow[EventDocument]:
    """Book an event of a given gradient.

    Args:
        index: Name of the index.
        tensors: Gradients by `member/parameter`, with the names and shapes in the index's `gradients`.
        **booking: Weight, reference and idempotency key.
    """
    query = [(name, str(value)) for name, value in _booked(booking).items()]
    return one(_book(index, TensorsBody(tensors), booking, query))


def book_event_gradient(
    index: str, model: "Models", loss: "Loss", **booking: Unpack[GradientBooking]
) -> Flow[EventDocument]:
    """Book an event of a loss, from its gradient in your own model. See `attribute_gradient`.

    Args:
        index: Name of the index.
        model: The model. For an index of an ensemble: models by member.
        loss: A function of the model that returns one number.
        **booking: Weight, reference and idempotency key.

    Yields:
        Calls to execute.

    Returns:
        The booked event.
    """
    info: IndexInfo = yield from indexes.index(index)
    return (yield from book_event_tensors(index, gradient_of(model, loss, info), **booking))


def signing_keys(page_size: int | None = None) -> Pages[SigningKeyDocument]:
    """Iterate over the public keys that verify receipts and events, the current one first.

    Args:
        page_size: Number of keys to fetch at a time.
    """
    return Pages(path=path_of("signing-keys"), document=Page[SigningKeyDocument], page_size=page_size)


def events(index: str, page_size: int | None = None) -> Pages[EventDocument]:
    """Iterate over the events of an index, newest first.

    Args:
        index: Name of the index.
        page_size: Number of events to fetch at a time.
    """
    path = path_of("indexes", index, "events")
    return Pages(path=path, document=Page[EventDocument], page_size=page_size)


def event(index: str, event_id: str) -> Flow[EventDetails]:
    """Read an event with its scores and shares.

    Args:
        index: Name of the index.
        event_id: Id of the event.
    """
    return get(path_of("indexes", index, "events", event_id), document(EventDetails))


def revise_policy(policy: PolicyBody, **how: Unpack[Once]) -> Flow[PolicyDocument]:
    """Create a policy, or add a revision to it.

    Args:
        policy: The policy. A new name creates one. A known name adds a revision.
        **how: Idempotency key.
    """
    return one(once("policies", document_of=PolicyDocument, body=sent(policy), how=how))


def policies(page_size: int | None = None) -> Pages[PolicyDocument]:
    """Iterate over the newest revisions of all policies, ordered by name.

    Args:
        page_size: Number of policies to fetch at a time.
    """
    return Pages(path=path_of("policies"), document=Page[PolicyDocument], page_size=page_size)


def policy(name: str, page_size: int | None = None) -> Pages[PolicyDocument]:
    """Iterate over the revisions of a policy, oldest first.

    Args:
        name: Name of the policy.
        page_size: Number of revisions to fetch at a time.
    """
    return Pages(path=path_of("policies", name), document=Page[PolicyDocument], page_size=page_size)


def record_roster(index: str, **how: Unpack[Once]) -> Flow[RosterDocument]:
    """Record the owners of the served version, for training pools and the fallback `by_size`.

    Args:
        index: Name of the index.
        **how: Idempotency key.
    """
    return one(once("indexes", index, "rosters", document_of=RosterDocument, how=how))


def rosters(index: str, page_size: int | None = None) -> Pages[RosterDocument]:
    """Iterate over the recorded owners of an index's versions, newest first.

    Args:
        index: Name of the index.
        page_size: Number of rosters to fetch at a time.
    """
    path = path_of("indexes", index, "rosters")
    return Pages(path=path, document=Page[RosterDocument], page_size=page_size)


def draft_run(
    draft: AllocationBody | AdjustmentBody | ReleaseBody | ReversalBody, **how: Unpack[Once]
) -> Flow[RunDocument]:
    """Draft a statement run: of a period or its late events, a release of escrow or held amounts, or a reversal.

    Args:
        draft: Content of the run.
        **how: Idempotency key.

    Returns:
        The run. Read its `warnings`.
    """
    body = JsonBody.of({"draft": draft.model_dump(mode="json", exclude_unset=True)})
    return one(once("statement-runs", document_of=RunDocument, body=body, how=how))


def preview_run(
    policy: str, period: str | None = None, kind: Literal["allocation", "adjustment"] = "allocation"
) -> Flow[RunPreview]:
    """Compute a draft without storing it: the number of unpaid events, the amounts and the warnings.

    Args:
        policy: Name of the policy.
        period: Name of a finished period. None takes the last one.
        kind: `allocation` for an unpaid period, `adjustment` for late events of a paid one.
    """
    query = [("policy", policy), ("kind", kind), *([] if period is None else [("period", period)])]
    return get(path_of("statement-runs", "preview"), document(RunPreview), query)


def approve_run(run: str, **how: Unpack[Once]) -> Flow[RunDocument]:
    """Approve a draft. Another person than the drafter must approve it.

    Args:
        run: Id of the run.
        **how: Idempotency key.
    """
    return one(once("statement-runs", run, "approve", document_of=RunDocument, how=how))


def reject_run(run: str, comment: str, **how: Unpack[Once]) -> Flow[RunDocument]:
    """Reject a run that is not posted. It stays rejected.

    Args:
        run: Id of the run.
        comment: Reason in words. The drafter reads it.
        **how: Idempotency key.
    """
    body = JsonBody.of({"comment": comment})
    return one(once("statement-runs", run, "reject", document_of=RunDocument, body=body, how=how))


def post_run(run: str, **how: Unpack[Once]) -> Flow[RunDocument]:
    """Post an approved run, which adds its entries to the ledger.

    Args:
        run: Id of the run.
        **how: Idempotency key.
    """
    return one(once("statement-runs", run, "post", document_of=RunDocument, how=how))


def void_run(run: str, **how: Unpack[Once]) -> Flow[RunDocument]:
    """Void a run that is not posted. Use a reversal for a posted run.

    Args:
        run: Id of the run.
        **how: Idempotency key.
    """
    return one(once("statement-runs", run, "void", document_of=RunDocument, how=how))


def run(run: str) -> Flow[RunDocument]:
    """Read the state of a run.

    Args:
        run: Id of the run.
    """
    return get(path_of("statement-runs", run), document(RunDocument))


def runs(policy: str | None = None, page_size: int | None = None) -> Pages[RunDocument]:
    """Iterate over the statement runs, newest first.

    Args:
        policy: Name of a policy, to select its rows.
        page_size: Number of runs to fetch at a time.
    """
    query = _of_policy(policy)
    return Pages(path=path_of("statement-runs"), document=Page[RunDocument], query=query, page_size=page_size)


def statements(page_size: int | None = None) -> Pages[RunDocument]:
    """Iterate over the posted runs that the key can see, newest first.

    Args:
        page_size: Number of runs to fetch at a time.
    """
    return Pages(path=path_of("statements"), document=Page[RunDocument], page_size=page_size)


def statement(run: str, owner: str | None = None) -> Flow[StatementDocument]:
    """Read the statement of a run: the line of each owner, and the totals.

    Args:
        run: Id of the run.
        owner: Name of an owner, to select their line.
    """
    return get(path_of("statements", run), document(StatementDocument), _of_owner(owner))


def statement_csv(run: str, owner: str | None = None) -> Flow[str]:
    """Read the lines of a statement as CSV for a spreadsheet, with amounts in major units.

    Args:
        run: Id of the run.
        owner: Name of an owner, to select their line.
    """
    return get(f"{path_of('statements', run)}.csv", _text_of, _of_owner(owner))


def line_events(run: str, owner: str, page_size: int | None = None) -> Pages[LineEvent]:
    """Iterate over the events behind an owner's line of a run, each with the owner's strongest works.

    Args:
        run: Id of the run.
        owner: Name of the owner.
        page_size: Number of events to fetch at a time.
    """
    path = path_of("statements", run, "owners", owner)
    return Pages(path=path, document=Page[LineEvent], page_size=page_size)


def owner_accounts(
    policy: str, search: OwnerSearch | None = None, page_size: int | None = None
) -> Pages[OwnerAccounts]:
    """Iterate over owners with the balances of their accounts under a policy.

    Args:
        policy: Name of the policy.
        search: Search and order of the owners. None lists all, the largest payable amount first.
        page_size: Number of owners to fetch at a time.
    """
    given = {} if search is None else search.model_dump(exclude_defaults=True, exclude_none=True)
    query = [("policy", policy), *((name, str(value)) for name, value in given.items())]
    return Pages(
        path=path_of("ledger", "owners"), document=OwnerAccountsPage, query=query, page_size=page_size
    )


def owner_statements(owner: str, page_size: int | None = None) -> Pages[OwnerStatement]:
    """Iterate over an owner's lines of posted runs, newest first.

    Args:
        owner: Name of the owner.
        page_size: Number of lines to fetch at a time.
    """
    path = path_of("statement-lines")
    return Pages(path=path, document=Page[OwnerStatement], query=_of_owner(owner), page_size=page_size)


def statement_pdf(run: str, owner: str | None = None) -> Flow[bytes]:
    """Read a statement as a PDF file.

    Args:
        run: Id of the run.
        owner: Name of an owner, to whom it is addressed.
    """
    return get(path_of("statements", run, "pdf"), bytes, _of_owner(owner))


def ledger(policy: str | None = None, page_size: int | None = None) -> Pages[EntryDocument]:
    """Iterate over the entries of the ledger, oldest first.

    Args:
        policy: Name of a policy, to select its rows.
        page_size: Number of entries to fetch at a time.
    """
    return Pages(
        path=path_of("ledger"), document=Page[EntryDocument], query=_of_policy(policy), page_size=page_size
    )


def balances(policy: str | None = None, page_size: int | None = None) -> Pages[BalanceDocument]:
    """Iterate over the balances of the ledger, by policy, account and owner.

    Args:
        policy: Name of a policy, to select its rows.
        page_size: Number of balances to fetch at a time.
    """
    path = path_of("ledger", "balances")
    return Pages(path=path, document=BalancePage, query=_of_policy(policy), page_size=page_size)


def verify_ledger() -> Flow[VerificationDocument]:
    """Verify the journal and recompute every statement. This takes a while.

    Returns:
        Counts of the verified records, and the discrepancies. `findings` is empty if the ledger is intact.
    """
    return get(path_of("ledger", "verification"), document(VerificationDocument))


def _of_policy(policy: str | None) -> list[tuple[str, str]]:
    return [] if policy is None else [("policy", policy)]


def _text_of(body: bytes) -> str:
    return body.decode("utf-8-sig")


def _of_owner(owner: str | None) -> list[tuple[str, str]]:
    return [] if owner is None else [("owner", owner)]


def _booked(booking: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in booking.items() if name != "idempotency_key"}


def _book(
    index: str, body: Body, booking: Mapping[str, Any], query: Sequence[tuple[str, str]] = ()
) -> Call[EventDocument]:
    return once("indexes", index, "events", document_of=EventDocument, body=body, how=booking, query=query)
