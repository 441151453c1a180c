"""The policy that a compensation page shows: the requested one, or the first that the caller sees."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Query, Request

from byline.api.accounts import Scope
from byline.api.compensation import PolicyDocument
from byline.errors import NotFound
from byline_service.accounts.permissions import requires
from byline_service.accounts.scopes import Caller
from byline_service.api import ledger, policies

Reading = Annotated[Caller, requires(Scope.READ, owner_scoped=True)]
PolicyName = Annotated[str | None, Query(max_length=64)]


@dataclass(frozen=True)
class Choice:
    """Policies that a caller can look at."""

    names: list[str]
    """Names of all policies."""
    name: str | None
    """Chosen policy. None if there is none."""
    document: PolicyDocument | None
    """Newest revision of the chosen policy. None for a key with owners, which sees the names alone."""


async def choose(request: Request, caller: Caller, wanted: str | None) -> Choice:
    """Choose a policy.

    Args:
        request: The request of a page.
        caller: The reader.
        wanted: Requested name. None takes the first.

    Returns:
        The choice.

    Raises:
        NotFound: There is no policy of this name, or none that the key may see.
    """
    documents: dict[str, PolicyDocument] = {}
    if caller.owners is None:
        found = await policies.list_policies(request, None, 1000)
        documents = {each.policy.name: each for each in found.data}
        names = sorted(documents)
    else:
        names = sorted({each.policy for each in (await ledger.all_balances(request, caller))[0]})
    if wanted is not None and wanted not in names:
        raise NotFound("expected the name of a policy, got another one")
    name = wanted or next(iter(names), None)
    return Choice(names, name, documents.get(name or ""))
