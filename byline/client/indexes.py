"""Reading what is served: what the methods of both clients send."""

from urllib.parse import quote

from byline.api.attributions import (
    ExamplePage,
    ExampleRow,
    Health,
    IndexInfo,
    IndexList,
    IndexSummary,
    OwnerCoverage,
    OwnerInfo,
    OwnerPage,
    SelfInfluencePage,
    SelfInfluenceRow,
)
from byline.client.calls import Flow, Pages, document, entries_of, get, path_of


def ready() -> Flow[Health]:
    """Ask whether the service can be sent questions; while it is starting this is tried again, as any call.

    Raises:
        Unavailable: It still is not ready.
    """
    return get("/readyz", document(Health))


def indexes() -> Flow[list[IndexSummary]]:
    """List the indexes that are served, by name."""
    return get(path_of("indexes"), lambda body: IndexList.model_validate_json(body).indexes)


def index(name: str) -> Flow[IndexInfo]:
    """Describe an index: its recipe, ensemble and counts, and what a query or a gradient to it looks like.

    Args:
        name: The index.
    """
    return get(path_of("indexes", name), document(IndexInfo))


def coverage(index: str) -> Flow[OwnerCoverage]:
    """Say how many training points have an owner and a license.

    Args:
        index: The index.
    """
    return get(path_of("indexes", index, "coverage"), document(OwnerCoverage))


def example(index: str, example_id: str) -> Flow[ExampleRow]:
    """Look a training point up by its id.

    Args:
        index: The index.
        example_id: The id, which may hold slashes.
    """
    return get(f"{path_of('indexes', index, 'examples')}/{quote(example_id)}", document(ExampleRow))


def examples(index: str, page_size: int | None = None) -> Pages[ExampleRow]:
    """Go through the training points by row, page by page.

    Args:
        index: The index.
        page_size: Points that are fetched at a time.
    """
    read = entries_of(ExamplePage, lambda page: page.examples)
    return Pages(path=path_of("indexes", index, "examples"), read=read, page_size=page_size)


def owners(index: str, page_size: int | None = None) -> Pages[OwnerInfo]:
    """Go through the owners by name, page by page.

    Args:
        index: The index.
        page_size: Owners that are fetched at a time.
    """
    read = entries_of(OwnerPage, lambda page: page.owners)
    return Pages(path=path_of("indexes", index, "owners"), read=read, page_size=page_size)


def self_influence(index: str, page_size: int | None = None) -> Pages[SelfInfluenceRow]:
    """Go through the training points, largest self-influence first: mislabelled ones come early.

    Args:
        index: The index.
        page_size: Points that are fetched at a time.
    """
    read = entries_of(SelfInfluencePage, lambda page: page.examples)
    return Pages(path=path_of("indexes", index, "self-influence"), read=read, page_size=page_size)
