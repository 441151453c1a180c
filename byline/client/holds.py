"""Calls for holds and disputes."""

from typing import Unpack

from byline.api.holds import HoldBody, HoldDocument, HoldState
from byline.api.page import Page
from byline.client.calls import Flow, JsonBody, Pages, document, get, one, path_of
from byline.client.once import Once, once, sent


def place_hold(hold: HoldBody, **how: Unpack[Once]) -> Flow[HoldDocument]:
    """Place a hold or a dispute. Later runs hold the subject's amounts back, until a release pays them.

    Args:
        hold: Subject, nature and reason.
        **how: Idempotency key.
    """
    return one(once("holds", document_of=HoldDocument, body=sent(hold), how=how))


def end_hold(hold: str, reason: str, **how: Unpack[Once]) -> Flow[HoldDocument]:
    """End a hold. Draft a release of the account `held` to pay out its amounts.

    Args:
        hold: Id of the hold.
        reason: Reason in words.
        **how: Idempotency key.
    """
    body = JsonBody.of({"reason": reason})
    return one(once("holds", hold, "end", document_of=HoldDocument, body=body, how=how))


def holds(state: HoldState | None = None, page_size: int | None = None) -> Pages[HoldDocument]:
    """Iterate over the holds, newest first.

    Args:
        state: `in_force` or `ended`, to select such holds.
        page_size: Number of holds to fetch at a time.
    """
    query = [] if state is None else [("state", state)]
    return Pages(path=path_of("holds"), document=Page[HoldDocument], query=query, page_size=page_size)


def hold(hold: str) -> Flow[HoldDocument]:
    """Read a hold.

    Args:
        hold: Id of the hold.
    """
    return get(path_of("holds", hold), document(HoldDocument))
