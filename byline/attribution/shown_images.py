"""Addresses of the thumbnails of an answer's training points."""

from collections.abc import Callable, Mapping
from urllib.parse import quote

from byline.api.answer import Answer
from byline.api.answer_parts import Attribution
from byline.api.thumbnails import data_uri
from byline.index.examples import ExampleStore

Address = Callable[[Attribution], str | None]


def with_image_data(answer: Answer, examples: ExampleStore) -> Answer:
    """Put the thumbnails themselves into an answer, as `data:` addresses.

    Args:
        answer: An answer of the index.
        examples: Metadata of the index.
    """
    stored = examples.images(_rows(answer))
    return _addressed(answer, lambda point: _uri(point.example.image or stored.get(point.row)))


def with_image_paths(answer: Answer, examples: ExampleStore) -> Answer:
    """Put the paths of the thumbnails into an answer of a service.

    Args:
        answer: An answer of the index.
        examples: Metadata of the index.
    """
    stored = examples.with_images(_rows(answer))
    if not stored:
        return answer
    return _addressed(
        answer, lambda point: image_path(answer.index, point.example.id) if point.row in stored else None
    )


def image_path(index: str, example_id: str) -> str:
    """Return the path of a thumbnail on the service.

    Args:
        index: Name of the index.
        example_id: Id of the training point.
    """
    return f"/v1/indexes/{quote(index, safe='')}/images/{quote(example_id, safe='')}"


def _uri(image: bytes | None) -> str | None:
    return None if image is None else data_uri(image)


def _rows(answer: Answer) -> list[int]:
    """Rows of the index. Points of groups have none, and no thumbnail in the index."""
    if answer.drilled_groups is not None:
        return []
    return [each.row for each in (*(answer.proponents or ()), *(answer.opponents or ()))]


def _addressed(answer: Answer, address: Address) -> Answer:
    ends: Mapping[str, tuple[Attribution, ...] | None] = {
        "proponents": answer.proponents,
        "opponents": answer.opponents,
    }
    found = {
        name: None
        if points is None
        else tuple(each.model_copy(update={"image": address(each)}) for each in points)
        for name, points in ends.items()
    }
    return answer.model_copy(update=found)
