"""Calls for rights tables: the parties that share in an owner's amounts."""

from byline.api.rights import RightsDocument
from byline.client.calls import Flow, change, document, get, one, path_of


def revise_rights(index: str, csv: str) -> Flow[RightsDocument]:
    """Add a revision of an index's rights table. The same rows again change nothing.

    Args:
        index: Name of the index.
        csv: Whole table as CSV, with the columns `owner,right,party,share,from,to`.
    """
    path = path_of("indexes", index, "rights")
    return one(change("POST", path, RightsDocument, {"csv": csv}, repeatable=True))


def rights(index: str) -> Flow[RightsDocument]:
    """Read the newest revision of an index's rights table.

    Args:
        index: Name of the index.
    """
    return get(path_of("indexes", index, "rights"), document(RightsDocument))
