"""Put training points into groups: by a column, at random, or by k-means.

Memory is a few bytes a row, and for k-means the vectors of the points that its centers are found on. All others are
read in blocks.

Letters: R rows, J groups, D numbers that are compared.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from byline.api.example import Example
from byline.errors import InvalidTask
from byline.features.sampling import fit_sample
from byline.groups import ATTRIBUTE, GroupOptions, GroupPartition
from byline.index.faiss_file import Clusters
from byline.members import Member
from byline.models.device import Compute
from byline.models.member import MemberModel
from byline.models.network import load_network
from byline.models.representations import Representations
from byline.models.training_points import describe_row, read_items
from byline.projection.base import IdentityProjection
from byline.projection.sjlt import SjltProjection
from byline.randomness import random_bits, stream_key
from byline.recipes import Recipe
from byline.task import Item, Task
from byline_indexer.progress import Observer
from byline_indexer.units.batches import BatchLimits, item_length, packs

if TYPE_CHECKING:
    from byline_indexer.units.plan import Numerics

POINTS_A_CENTER = 64
"""Points that k-means finds each center on, drawn at random. All points are then put to the nearest center."""
COMPARED = 512
"""Numbers at most of the last layer's gradient that k-means compares: wider ones are hashed to so many."""
MOST_FOUND_ON = 1 << 18
"""Points at most that centers are found on, unless there are more centers: memory does not grow with the training set."""
Vectors = Callable[[Sequence[Item]], Tensor]
"""Items -> vectors [N, D] that are compared."""


def partition(
    task: Task, recipe: Recipe, options: GroupOptions, numerics: "Numerics", observer: Observer
) -> GroupPartition:
    """Group the training set.

    Args:
        task: Its training set and metadata.
        recipe: Names the member whose model k-means looks through: the first.
        options: How to group.
        numerics: Batches and device of k-means' forward passes.
        observer: Receives the progress of grouping.

    Returns:
        The groups, none of them empty.

    Raises:
        InvalidTask: The Task lacks what the options name.
    """
    rows = len(task.train_set)
    if options.by == "random":
        return GroupPartition.of(_dealt(rows, options))
    if options.by != "kmeans":
        return GroupPartition.of(_by_column(task, options.by, observer))
    vectors = comparison_vectors(task, recipe, options, numerics.compute)
    parts = VectorPasses(task, vectors, compared_limits(options, numerics))
    return GroupPartition.of(_clustered(parts, rows, options, observer))


def compared_limits(options: GroupOptions, numerics: "Numerics") -> BatchLimits:
    """Size of a batch of what k-means compares: as a gradient's, or a number of items where no model is run."""
    return BatchLimits(numerics.batch_rows) if options.of == "inputs" else numerics.limits


@dataclass(frozen=True)
class VectorPasses:
    """Compares points batch after batch."""

    task: Task
    vectors: Vectors
    limits: BatchLimits

    def of(
        self, rows: NDArray[np.int64], on_done: Callable[[int], None] = lambda _: None
    ) -> Iterator[NDArray[np.float32]]:
        """Make the vectors of some rows.

        Yields:
            float32 [N, D] of the next rows, in their order.
        """
        for start in range(0, len(rows), self.limits.rows):
            items = read_items(self.task.train_set, rows[start : start + self.limits.rows])
            batches = list(packs([item_length(item) for item in items], self.limits))
            made = [self.vectors(items.chosen(batch)).detach().float().cpu().numpy() for batch in batches]
            yield np.concatenate(made)[np.argsort(np.concatenate(batches))]
            on_done(min(start + self.limits.rows, len(rows)))


def _dealt(rows: int, options: GroupOptions) -> NDArray[np.int64]:
    """Shuffle the rows by their hashes, and cut the order into equal parts."""
    hashes = random_bits(stream_key(options.seed, "groups"), torch.arange(rows, dtype=torch.int64)).numpy()
    group_R = np.empty(rows, dtype=np.int64)
    group_R[np.argsort(hashes, kind="stable")] = np.arange(rows) * options.number(rows) // rows
    return group_R


def column(example: Example, by: str) -> str | None:
    """Read the value that an example is grouped by."""
    if by.startswith(ATTRIBUTE):
        value = example.attributes.get(by.removeprefix(ATTRIBUTE))
        return None if value is None else str(value)
    found: str | None = getattr(example, by)
    return found


def _by_column(task: Task, by: str, observer: Observer) -> NDArray[np.int64]:
    rows = len(task.train_set)
    values: list[str | None] = []
    for row in range(rows):
        values.append(column(describe_row(task, row), by))
        if row % 256 == 0 or row + 1 == rows:
            observer.progress("group training points", row + 1, rows)
    known = sorted({value for value in values if value is not None})
    if not known:
        raise InvalidTask(
            f"expected examples with a value of '{by}', which groups.by names, got none in {rows}: set it in "
            f"Task.describe, or group by something else"
        )
    numbers = {value: number for number, value in enumerate(known)}
    alone = iter(range(len(known), len(known) + rows))
    return np.array([next(alone) if v is None else numbers[v] for v in values], dtype=np.int64)


def clustering_sample(centers: int) -> int:
    """Bound the number of points that k-means finds so many centers on."""
    return max(centers, min(POINTS_A_CENTER * centers, MOST_FOUND_ON))


def _clustered(
    passes: VectorPasses, rows: int, options: GroupOptions, observer: Observer
) -> NDArray[np.int64]:
    count = options.number(rows)
    chosen = fit_sample(rows, clustering_sample(count))
    found = list(passes.of(chosen, lambda done: observer.progress("find groups", done, len(chosen))))
    clusters = Clusters.found_on(np.concatenate(found), count, options.seed)
    every = np.arange(rows, dtype=np.int64)
    parts = passes.of(every, lambda done: observer.progress("group training points", done, rows))
    nearest_R = np.concatenate([clusters.nearest(part_ND) for part_ND in parts])
    return np.unique(nearest_R, return_inverse=True)[1].astype(np.int64)


def comparison_vectors(task: Task, recipe: Recipe, options: GroupOptions, compute: Compute) -> Vectors:
    """Make the function that gives the vectors which k-means compares.

    Args:
        task: Has the points.
        recipe: Names the member whose model they are looked at through.
        options: Names what is compared.
        compute: Device and precision.

    Returns:
        A function from items to vectors [N, D].

    Raises:
        InvalidTask: The Task lacks what the options name.
    """
    if options.of == "inputs":
        return lambda items: _of_like_sizes([_flat(item) for item in items])
    member = recipe.members.of(task.checkpoints)[0]
    if options.of == "representations":
        network = load_network(task, Member(member.checkpoint), compute.device)
        purpose = "groups.of = 'representations' (another is 'last_layer_gradients')"
        represented = Representations(task, network, purpose=purpose, device=compute.device)
        return represented.of
    last = Recipe(name="last-layer", layers="last", projection=IdentityProjection())
    model = MemberModel.load(task, last, Member(member.checkpoint), compute)
    width = sum(block.rows * block.columns for block in model.blocks)
    kind = IdentityProjection() if width <= COMPARED else SjltProjection(size=COMPARED)
    projector = kind.projector(model.blocks, {})
    return lambda items: projector(model.gradients(items))


def _of_like_sizes(inputs: list[Tensor]) -> Tensor:
    """Put flattened inputs together, [N, D].

    Raises:
        InvalidTask: They have different sizes.
    """
    sizes = {len(each) for each in inputs}
    if len(sizes) > 1:
        raise InvalidTask(
            f"expected inputs of one size, for groups.of = 'inputs', got {min(sizes)} to {max(sizes)} numbers: take "
            f"groups.of = 'last_layer_gradients'"
        )
    return torch.stack(inputs)


def _flat(item: object) -> Tensor:
    """Flatten the first tensor of an item.

    Raises:
        InvalidTask: There is none.
    """
    parts = item.values() if isinstance(item, dict) else item if isinstance(item, tuple | list) else [item]
    for part in parts:
        if isinstance(part, Tensor | np.ndarray):
            return torch.as_tensor(part).flatten().float()
    raise InvalidTask(
        f"expected items with a tensor first, for groups.of = 'inputs', got {type(item).__name__}: take "
        f"groups.of = 'last_layer_gradients'"
    )
