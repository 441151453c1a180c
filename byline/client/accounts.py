"""Keys, the audit log and usage: what the methods of both clients send."""

from byline.api.accounts import (
    AuditLine,
    AuditPage,
    KeyInfo,
    KeyPage,
    NewKey,
    NewKeyBody,
    UsagePage,
    UsageRow,
)
from byline.client.calls import Flow, Pages, change, document, entries_of, get, nothing, one, path_of


def caller() -> Flow[KeyInfo]:
    """Describe the key that asks: what it allows, and until when."""
    return get(path_of("caller"), document(KeyInfo))


def keys(page_size: int | None = None) -> Pages[KeyInfo]:
    """Go through all keys, ended ones too, page by page.

    Args:
        page_size: Keys that are fetched at a time.
    """
    read = entries_of(KeyPage, lambda page: page.keys)
    return Pages(path=path_of("keys"), read=read, page_size=page_size)


def create_key(wanted: NewKeyBody) -> Flow[NewKey]:
    """Make a key. The answer alone shows it, so it is sent once: revoke the key if the answer is lost.

    Args:
        wanted: Name, person, scopes, owners, end and quotas.
    """
    sent = wanted.model_dump(mode="json", exclude_unset=True)
    return one(change("POST", path_of("keys"), NewKey, sent))


def rotate_key(key_id: str, overlap_hours: float = 24.0) -> Flow[NewKey]:
    """Make a key that takes another one's place. The answer alone shows it.

    Args:
        key_id: The old key: its 12 characters after `byl_`.
        overlap_hours: How long the old one stays valid.
    """
    sent = {"overlap_hours": float(overlap_hours)}
    return one(change("POST", path_of("keys", key_id, "rotate"), NewKey, sent))


def revoke_key(key_id: str) -> Flow[None]:
    """End a key at once; ending it twice is no mistake.

    Args:
        key_id: The key: its 12 characters after `byl_`.
    """
    return one(nothing("DELETE", path_of("keys", key_id), repeatable=True))


def audit(page_size: int | None = None) -> Pages[AuditLine]:
    """Go through what was changed and by whom, the newest first, page by page.

    Args:
        page_size: Changes that are fetched at a time.
    """
    read = entries_of(AuditPage, lambda page: page.lines)
    return Pages(path=path_of("audit"), read=read, page_size=page_size)


def usage(days: int = 31, page_size: int | None = None) -> Pages[UsageRow]:
    """Go through what was asked by day, key and index: of every key for admins, of their own for others.

    Args:
        days: How many days back, today included.
        page_size: Rows that are fetched at a time.
    """
    read = entries_of(UsagePage, lambda page: page.usage)
    query = [("days", str(days))]
    return Pages(path=path_of("usage"), read=read, query=query, page_size=page_size)
