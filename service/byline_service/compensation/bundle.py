"""Bundles: a run's statement with the events that it pays, for a verification without a database."""

from collections import Counter
from collections.abc import Collection
from typing import Literal

from byline_service.compensation.allocation import allocate, allocate_training
from byline_service.compensation.event import Event, Stored, signed_bytes
from byline_service.compensation.restrictions import Restrictions
from byline_service.compensation.statements import AllocationStatement
from byline_service.compensation.works import works_errors
from byline_service.signing.keys import PublicKey


class Bundle(Stored):
    """A division of a pool, its events, and the public keys that signed them."""

    kind: Literal["byline bundle 1"] = "byline bundle 1"
    """Kind and version of the file."""
    run: str
    """Id of the run."""
    statement: AllocationStatement
    """Statement of the run."""
    events: tuple[Event, ...]
    """Events that the run pays, in the statement's order."""
    keys: tuple[str, ...]
    """Public keys in base64."""


def bundle_findings(bundle: Bundle, trusted: Collection[PublicKey] | None = None) -> list[str]:
    """Verify a bundle: signatures, digests and pins of the events, and the division recomputed.

    Args:
        bundle: The bundle.
        trusted: Public keys from another source. None takes the bundle's own keys.

    Returns:
        Errors that were found, each with its place.
    """
    keys = {key.id: key for key in (map(PublicKey.from_text, bundle.keys) if trusted is None else trusted)}
    statement, found = bundle.statement, []
    if [event.id for event in bundle.events] != [paid.id for paid in statement.events]:
        return ["statement: its events are not those of the bundle"]
    for event, paid in zip(bundle.events, statement.events, strict=True):
        key = keys.get(event.signature.key)
        if key is None or not key.verifies(event.signature, signed_bytes(event)):
            found.append(f"event {event.id}: it does not have the signature of a known key")
        found += [f"event {event.id}: {error}" for error in works_errors(event)]
        if event.sha256 != paid.digest or event.asked != paid.asked:
            found.append(f"event {event.id}: it is not the event that the statement names")
        if reasons := statement.policy.refusals(event):
            found.append(f"event {event.id}: the policy does not pay for it ({', '.join(reasons)})")
    if len({event.id for event in bundle.events}) != len(bundle.events):
        found.append("statement: it pays an event twice")
    return found if found else _division_findings(bundle)


def _division_findings(bundle: Bundle) -> list[str]:
    statement = bundle.statement
    brought = {line.owner: line.brought for line in statement.allocation.lines if line.brought}
    left = statement.budget - statement.spent
    restrictions = Restrictions(statement.restrictions)
    if statement.policy.basis == "training":
        recomputed = allocate_training(
            statement.policy, statement.rosters[0], statement.until, brought, restrictions
        )
    else:
        recomputed = allocate(statement.policy, bundle.events, brought, left, restrictions, statement.rosters)
    if recomputed.canonical() != statement.allocation.canonical():
        return ["statement: the recomputed division differs, it must agree to the byte"]
    payable = {line.owner: line.payable for line in recomputed.lines}
    divided = Counter[str]()
    for split in statement.splits:
        divided[split.owner] += split.amount
    if any(amount != payable.get(owner) for owner, amount in divided.items()):
        return ["statement: the splits of an owner do not add up to the payable amount"]
    return []
