"""Read the whole training set once: check it, digest it, and keep its metadata.

One pass in the order of the rows. Memory is 24 bytes a row. Metadata are kept as they are read: a build asks
`Task.describe` once a row.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from byline.api.example import Example
from byline.digests import content_digest, first_bits
from byline.errors import InvalidTask
from byline.loading.failures import task_code_failures
from byline.models.training_points import TRAINING, describe_row, read_items
from byline.names.owner_labels import OwnerSpellings
from byline.task import Task
from byline_indexer.build.example_spool import ExampleSpool
from byline_indexer.units.data_digests import Digests

REPORT_EVERY = 256
"""Rows between two reports of progress."""


@dataclass(frozen=True)
class Survey:
    """Size, digests and metadata of a training set."""

    rows: int
    digest: str
    """SHA-256 over every item's content and every example's metadata, in order."""
    rows_R: Digests = field(compare=False)
    """Short digests of every item: later readings are compared with these."""
    examples: ExampleSpool = field(compare=False)
    """Metadata of every row."""
    spellings: OwnerSpellings = field(compare=False)
    """Spellings of the owners."""


def scan_training_set(task: Task, on_progress: Callable[[int, int], None] | None = None) -> Survey:
    """Read the whole training set once.

    Args:
        task: Declares it.
        on_progress: Called with (rows read, rows).

    Returns:
        Its size and digest.

    Raises:
        InvalidTask: An item cannot be read, a row has no proper `Example`, or two rows share an id.
    """
    rows = len(task.train_set)
    digest = hashlib.sha256()
    id_hashes = np.empty(rows, dtype=np.uint64)
    rows_R, examples, spellings = np.empty(rows, dtype=np.uint64), ExampleSpool(), OwnerSpellings()
    for row in range(rows):
        item_digest, text, example = read_row(task, row, spellings)
        digest.update(item_digest + content_digest(text))
        if example.image is not None:
            digest.update(content_digest(example.image))
        rows_R[row] = first_bits(item_digest)
        examples.append(text, example.image)
        id_hashes[row] = _short_hash(example.id)
        if on_progress and (row + 1 == rows or row % REPORT_EVERY == 0):
            on_progress(row + 1, rows)
    _refuse_shared_ids(examples, id_hashes)
    return Survey(rows, digest.hexdigest(), rows_R, examples, spellings)


def read_row(task: Task, row: int, spellings: OwnerSpellings | None = None) -> tuple[bytes, str, Example]:
    """Read one row: the digest of its item, its metadata as JSON, and the metadata.

    Args:
        task: Declares it.
        row: The row.
        spellings: Notes the owner's spelling.

    Raises:
        InvalidTask: One of the two cannot be read.
    """
    example = describe_row(task, row, spellings)
    with task_code_failures(f"writing Task.describe({row}) as JSON", "correct its result for that row"):
        text = example.model_dump_json()
    return _item_digest(task, row), text, example


def _item_digest(task: Task, row: int) -> bytes:
    (item,) = read_items(task.train_set, [row])
    try:
        return content_digest(item)
    except InvalidTask as error:
        raise InvalidTask(f"{TRAINING.format(row)}: {error}") from error


def _short_hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def _refuse_shared_ids(
    examples: ExampleSpool, id_hashes: "np.ndarray[tuple[int], np.dtype[np.uint64]]"
) -> None:
    """Refuse rows that share an id. Rows with equal hashes are compared in full."""
    order = np.argsort(id_hashes, kind="stable")
    ordered = id_hashes[order]
    for first, second in zip(
        order[:-1][ordered[:-1] == ordered[1:]], order[1:][ordered[:-1] == ordered[1:]], strict=True
    ):
        if examples.example(int(first)).id == examples.example(int(second)).id:
            raise InvalidTask(
                f"expected every training point to have an id of its own, but rows {first} and "
                f"{second} share one: make Example.id unique (a chunk's id needs its number), or "
                f"use content_id(item) for items that differ"
            )
