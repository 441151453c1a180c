"""Calls for the consent of works."""

from collections.abc import Sequence
from typing import Unpack

from byline.api.consents import ConsentDocument, ConsentRow, ConsentsBody, ConsentsRecorded
from byline.api.page import Page
from byline.client.calls import Flow, Pages, one, path_of
from byline.client.once import Once, once, sent


def record_consents(consents: Sequence[ConsentRow], **how: Unpack[Once]) -> Flow[ConsentsRecorded]:
    """Record the consent for works, all rows or none. Later runs and answers follow it.

    Args:
        consents: Owner, index, work, version, status, time and source of each.
        **how: Idempotency key.
    """
    body = sent(ConsentsBody(consents=list(consents)))
    return one(once("consents", document_of=ConsentsRecorded, body=body, how=how))


def consents(index: str | None = None, page_size: int | None = None) -> Pages[ConsentDocument]:
    """Iterate over the recorded consents, newest first.

    Args:
        index: Name of an index, to select its consents.
        page_size: Number of consents to fetch at a time.
    """
    query = [] if index is None else [("index", index)]
    return Pages(path=path_of("consents"), document=Page[ConsentDocument], query=query, page_size=page_size)
