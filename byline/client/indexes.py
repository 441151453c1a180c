"""Calls that read indexes, training points and owners."""

from urllib.parse import quote

from byline.api.attributions import (
    ExampleRow,
    Health,
    IndexInfo,
    IndexSummary,
    OwnerCoverage,
    OwnerInfo,
    SelfInfluenceRow,
)
from byline.api.page import Page
from byline.client.calls import Flow, Pages, document, get, path_of


def ready() -> Flow[Health]:
    """Wait until the service is ready for questions. The client repeats the call while the service starts.

    Raises:
        Unavailable: The service is still not ready.
    """
    return get("/readyz", document(Health))


def indexes(page_size: int | None = None) -> Pages[IndexSummary]:
    """Iterate over the served indexes, ordered by name.

    Args:
        page_size: Number of indexes to fetch at a time.
    """
    return Pages(path=path_of("indexes"), document=Page[IndexSummary], page_size=page_size)


def index(name: str) -> Flow[IndexInfo]:
    """Describe an index: its recipe, ensemble and counts, and the form of its queries and gradients.

    Args:
        name: Name of the index.
    """
    return get(path_of("indexes", name), document(IndexInfo))


def coverage(index: str) -> Flow[OwnerCoverage]:
    """Count the training points with an owner and with each license.

    Args:
        index: Name of the index.
    """
    return get(path_of("indexes", index, "coverage"), document(OwnerCoverage))


def example(index: str, example_id: str) -> Flow[ExampleRow]:
    """Look up a training point by its id.

    Args:
        index: Name of the index.
        example_id: Id of the training point. It may contain slashes.
    """
    return get(f"{path_of('indexes', index, 'examples')}/{quote(example_id)}", document(ExampleRow))


def examples(index: str, page_size: int | None = None) -> Pages[ExampleRow]:
    """Iterate over the training points, ordered by row.

    Args:
        index: Name of the index.
        page_size: Number of training points to fetch at a time.
    """
    return Pages(path=path_of("indexes", index, "examples"), document=Page[ExampleRow], page_size=page_size)


def image(index: str, example: str) -> Flow[bytes]:
    """Read the thumbnail of a training point: a PNG of at most 96 x 96 pixels.

    Args:
        index: Name of the index.
        example: Id of the training point.
    """
    return get(path_of("indexes", index, "images", example), bytes)


def owners(index: str, page_size: int | None = None) -> Pages[OwnerInfo]:
    """Iterate over the owners, ordered by name.

    Args:
        index: Name of the index.
        page_size: Number of owners to fetch at a time.
    """
    return Pages(path=path_of("indexes", index, "owners"), document=Page[OwnerInfo], page_size=page_size)


def self_influence(index: str, page_size: int | None = None) -> Pages[SelfInfluenceRow]:
    """Iterate over the training points, largest self-influence first. Mislabeled points come early.

    Args:
        index: Name of the index.
        page_size: Number of training points to fetch at a time.
    """
    return Pages(
        path=path_of("indexes", index, "self-influence"), document=Page[SelfInfluenceRow], page_size=page_size
    )
