"""Calls for parties: the people and companies behind owners' labels."""

from byline.api.page import Page
from byline.api.parties import PartyBody, PartyDocument
from byline.client.calls import Flow, Pages, change, document, get, nothing, one, path_of


def record_party(party: PartyBody) -> Flow[PartyDocument]:
    """Record a party, or a revision of it. The same body again changes nothing.

    Args:
        party: Name, aliases, identifiers and private details.
    """
    return one(
        change("POST", path_of("parties"), PartyDocument, party.model_dump(mode="json"), repeatable=True)
    )


def parties(page_size: int | None = None) -> Pages[PartyDocument]:
    """Iterate over the parties that the key may see, ordered by name.

    Args:
        page_size: Number of parties to fetch at a time.
    """
    return Pages(path=path_of("parties"), document=Page[PartyDocument], page_size=page_size)


def party(party: str) -> Flow[PartyDocument]:
    """Read the newest revision of a party.

    Args:
        party: Id of the party.
    """
    return get(path_of("parties", party), document(PartyDocument))


def erase_party_details(party: str) -> Flow[None]:
    """Delete the private details of a party for good. Its name, identifiers and payments stay.

    Args:
        party: Id of the party.
    """
    return one(nothing("DELETE", path_of("parties", party, "details"), repeatable=True))
