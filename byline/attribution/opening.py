"""Bringing an index and the Task that it was built from together again."""

from collections.abc import Sequence

from byline.errors import StaleIndex
from byline.loading import load_task, weights_digest
from byline.members import Member
from byline.query_features import Featurizer, GradientFeaturizer
from byline.store.index import AttributionIndex
from byline.task import Checkpoint, Task


def task_of(index: AttributionIndex, task: Task | None = None) -> Task:
    """Load the Task that an index was built from.

    Args:
        index: Its manifest names the Task.
        task: The Task, where it is loaded already: then only its weights are compared.

    Returns:
        The Task.

    Raises:
        InvalidTask: It cannot be loaded.
        StaleIndex: Its source, its weights or the number of its training points is not what the index was built from.
    """
    found = task or _load(index)
    _hold_weights(found, index)
    _hold_points(found, index)
    return found


def featurizer_of(index: AttributionIndex, task: Task) -> Featurizer:
    """Load the models that make query features for an index."""
    states = {member.name: dict(index.states(member.name)) for member in index.members}
    return Featurizer.open(task, index.recipe, states)


def gradient_featurizer_of(index: AttributionIndex) -> GradientFeaturizer:
    """Make what projects gradients for an index; it needs no model."""
    states = {
        Member(m.checkpoint, m.mask_seed, m.adapter, m.weight): dict(index.states(m.name))
        for m in index.members
    }
    return GradientFeaturizer(index.recipe, index.manifest.blocks, states)


def _load(index: AttributionIndex) -> Task:
    record = index.manifest.task
    loaded = load_task(record.reference, base=index.path.resolve().parent)
    if loaded.digest != record.digest:
        raise StaleIndex(
            f"the Task at {record.reference} changed since this index was built: "
            "rebuild the index, or restore the Task's source"
        )
    return loaded.task


def _hold_weights(task: Task, index: AttributionIndex) -> None:
    used = sorted({member.checkpoint for member in index.members})
    there = used[-1] < len(task.checkpoints)
    if not there or not _same_weights([task.checkpoints[c] for c in used], index):
        raise StaleIndex(
            f"the weights of the Task's {len(task.checkpoints)} checkpoints are not those that "
            "this index was built from: rebuild the index, or restore the weights"
        )


def _hold_points(task: Task, index: AttributionIndex) -> None:
    """Queries that are solved, and drill-downs, read training points by their rows; others need none."""
    reads_points = index.recipe.sides == "solved" or index.groups is not None
    if reads_points and len(task.train_set) != index.points:
        raise StaleIndex(
            f"the Task has {len(task.train_set)} training points, and this index was built from {index.points}, which "
            "its queries read: rebuild the index, or restore the training set"
        )


def _same_weights(checkpoints: Sequence[Checkpoint], index: AttributionIndex) -> bool:
    adapters = index.recipe.members.adapters
    if any(len(each.adapters) < adapters for each in checkpoints):
        return False
    recorded = index.recipe.recorded
    digests = [weights_digest(each, adapters, recorded=recorded) for each in checkpoints]
    return digests == list(index.fingerprint.weights)
