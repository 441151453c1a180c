"""Reading what is served: what the methods of both clients send."""

from urllib.parse import quote

from service.client.calls import Call, Flow, Pages, document, one, paged
from service.schemas import (
    ExamplePage,
    ExampleRow,
    IndexInfo,
    IndexList,
    IndexSummary,
    OwnerInfo,
    OwnerPage,
    SelfInfluencePage,
    SelfInfluenceRow,
)


def _path(index: str, *rest: str) -> str:
    return "/".join(["/v1/indexes", quote(index, safe=""), *rest])


def indexes() -> Flow[list[IndexSummary]]:
    """List the indexes that are served, by name."""
    return one(Call(method="GET", path="/v1/indexes", read=_listed, repeatable=True))


def _listed(body: bytes) -> list[IndexSummary]:
    return IndexList.model_validate_json(body).indexes


def index(name: str) -> Flow[IndexInfo]:
    """Describe an index: its recipe, ensemble and counts, and what a query or a gradient to it looks like.

    Args:
        name: The index.
    """
    return one(Call(method="GET", path=_path(name), read=document(IndexInfo), repeatable=True))


def example(index: str, example_id: str) -> Flow[ExampleRow]:
    """Look a training point up by its id.

    Args:
        index: The index.
        example_id: The id, which may hold slashes.
    """
    path = _path(index, "examples", quote(example_id))
    return one(Call(method="GET", path=path, read=document(ExampleRow), repeatable=True))


def examples(index: str, page_size: int | None = None) -> Pages[ExampleRow]:
    """Go through the training points by row, page by page.

    Args:
        index: The index.
        page_size: Points that are fetched at a time.
    """
    read = paged(ExamplePage, lambda page: page.examples, lambda page: page.next)
    return Pages(path=_path(index, "examples"), read=read, page_size=page_size)


def owners(index: str, page_size: int | None = None) -> Pages[OwnerInfo]:
    """Go through the owners by name, page by page.

    Args:
        index: The index.
        page_size: Owners that are fetched at a time.
    """
    read = paged(OwnerPage, lambda page: page.owners, lambda page: page.next)
    return Pages(path=_path(index, "owners"), read=read, page_size=page_size)


def self_influence(index: str, page_size: int | None = None) -> Pages[SelfInfluenceRow]:
    """Go through the training points, largest self-influence first: mislabelled ones come early.

    Args:
        index: The index.
        page_size: Points that are fetched at a time.
    """
    read = paged(SelfInfluencePage, lambda page: page.examples, lambda page: page.next)
    return Pages(path=_path(index, "self-influence"), read=read, page_size=page_size)
