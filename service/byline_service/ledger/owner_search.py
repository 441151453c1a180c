"""Search, filter and order of owners with their accounts. Equal on every database, since it is not SQL."""

import unicodedata
from collections.abc import Iterable

from byline.api.owner_accounts import OwnerAccounts, OwnerSearch


def matching(accounts: Iterable[OwnerAccounts], search: OwnerSearch) -> list[OwnerAccounts]:
    """Return the owners that match a search, in its order. Owners with equal amounts are ordered by name.

    Args:
        accounts: Accounts of owners in any order.
        search: The search.
    """
    wanted = folded(search.text.strip())
    kept = [
        each
        for each in accounts
        if (not wanted or wanted in folded(each.owner))
        and (search.holding is None or getattr(each, search.holding))
    ]
    kept.sort(key=lambda each: (folded(each.owner), each.owner))
    if search.sort == "owner":
        return kept if search.order == "asc" else kept[::-1]
    sign = 1 if search.order == "asc" else -1
    return sorted(kept, key=lambda each: sign * int(getattr(each, search.sort)))


def folded(text: str) -> str:
    """Return a text without case and accents, for comparisons."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in plain if not unicodedata.combining(letter)).casefold()
