"""Calls for keys, the audit log and usage."""

from byline.api.accounts import (
    AuditLine,
    KeyInfo,
    NewKey,
    NewKeyBody,
    PersonDocument,
    UsageRow,
)
from byline.api.page import Page
from byline.client.calls import Flow, Pages, change, document, get, nothing, one, path_of


def caller() -> Flow[KeyInfo]:
    """Describe the key of this client: its permissions and its expiry."""
    return get(path_of("caller"), document(KeyInfo))


def keys(page_size: int | None = None) -> Pages[KeyInfo]:
    """Iterate over all keys, including expired and revoked ones.

    Args:
        page_size: Number of keys to fetch at a time.
    """
    return Pages(path=path_of("keys"), document=Page[KeyInfo], page_size=page_size)


def persons(page_size: int | None = None) -> Pages[PersonDocument]:
    """Iterate over all persons, with who recorded each and when.

    Args:
        page_size: Number of persons to fetch at a time.
    """
    return Pages(path=path_of("persons"), document=Page[PersonDocument], page_size=page_size)


def create_key(wanted: NewKeyBody) -> Flow[NewKey]:
    """Create a key. Only this answer contains its secret, so the client never repeats the call.

    If the answer is lost, revoke the key.

    Args:
        wanted: Name, person, scopes, owners, expiry and quotas.
    """
    sent = wanted.model_dump(mode="json", exclude_unset=True)
    return one(change("POST", path_of("keys"), NewKey, sent))


def key(key_id: str) -> Flow[KeyInfo]:
    """Read a key by its id, also a revoked or an expired one.

    Args:
        key_id: Id of the key: its 12 characters after `byl_`.
    """
    return get(path_of("keys", key_id), document(KeyInfo))


def rotate_key(key_id: str, overlap_hours: float = 24.0) -> Flow[NewKey]:
    """Create a key that replaces another one. Only this answer contains its secret.

    Args:
        key_id: Id of the old key: its 12 characters after `byl_`.
        overlap_hours: Hours for which the old key stays valid.
    """
    sent = {"overlap_hours": float(overlap_hours)}
    return one(change("POST", path_of("keys", key_id, "rotate"), NewKey, sent))


def revoke_key(key_id: str) -> Flow[None]:
    """Revoke a key at once. Revoking it again changes nothing.

    Args:
        key_id: Id of the key: its 12 characters after `byl_`.
    """
    return one(nothing("DELETE", path_of("keys", key_id), repeatable=True))


def audit(page_size: int | None = None) -> Pages[AuditLine]:
    """Iterate over the audit log, newest change first.

    Args:
        page_size: Number of changes to fetch at a time.
    """
    return Pages(path=path_of("audit"), document=Page[AuditLine], page_size=page_size)


def usage(days: int = 31, page_size: int | None = None) -> Pages[UsageRow]:
    """Iterate over usage by day, key and index. Admins see every key, other callers their own.

    Args:
        days: Number of days, including today.
        page_size: Number of rows to fetch at a time.
    """
    query = [("days", str(days))]
    return Pages(path=path_of("usage"), document=Page[UsageRow], query=query, page_size=page_size)
