"""Load the Task and the models that an index was built from."""

from collections.abc import Mapping

from byline.errors import InvalidTask, StaleIndex
from byline.features.queries import Featurizer, GradientFeaturizer
from byline.index.checks import CheckCache
from byline.index.index import AttributionIndex
from byline.loading.memory import task_in_memory
from byline.loading.task_file import load_task
from byline.members import Member
from byline.models.checkpoints import checkpoint_digests, pin_checkpoints, weights_digest
from byline.models.probe import require_probe
from byline.task import Checkpoint, CheckpointDigests, Task


def load_index_task(index: AttributionIndex, task: Task | None = None, *, verify: bool = True) -> Task:
    """Load the Task that an index was built from.

    Args:
        index: Its manifest names the Task.
        task: The Task, where it is loaded already. Its weights are compared, and its declarations where the index was
            built from a Task in memory. The source of a Task from a file is not read again.
        verify: Whether the declarations of a given Task are compared. False fits an object that the index was just
            built from.

    Returns:
        The Task. Weights that are loaded through it must match the manifest's digests, tensor by tensor: these
        are not read twice.

    Raises:
        InvalidTask: It cannot be loaded, or was declared in memory and is not given.
        StaleIndex: Its source, its declarations, an adapter, a recording or the number of its training points is not
            what the index was built from.
    """
    if task is not None and verify:
        _check_declarations(task, index)
    found = task or _load(index)
    if index.recipe.sides == "solved" or index.groups is not None:  # queries that solve, and drill-downs
        require_points(found, index)
    return pin_checkpoints(found, _expected(found, index))


def load_featurizer(index: AttributionIndex, task: Task, *, identified: bool = False) -> Featurizer:
    """Load the models that make query features for an index.

    Args:
        index: The index.
        task: Its Task, as `load_index_task` returns it.
        identified: Whether the Task's code or declarations were compared with the index's. Then earlier checks of its
            models against autograd hold, and its training points must be those of the build.

    Returns:
        Models that yield what they did when the index was built.

    Raises:
        StaleIndex: They yield something else on a training point.
    """
    states = {member.name: dict(index.states(member.name)) for member in index.members}
    checks = CheckCache.beside(index.path, index.fingerprint.hex, task.code) if identified else None
    featurizer = Featurizer.open(task, index.recipe, states, checks=checks)
    record = index.manifest.task.probe
    if record is not None:
        require_probe(featurizer.first, record, data=identified)
    return featurizer


def make_gradient_featurizer(index: AttributionIndex) -> GradientFeaturizer:
    """Make what projects gradients for an index. It needs no model."""
    states = {
        Member(m.checkpoint, m.mask_seed, m.adapter, m.weight): dict(index.states(m.name))
        for m in index.members
    }
    return GradientFeaturizer(index.recipe, index.manifest.blocks, states)


def _load(index: AttributionIndex) -> Task:
    record = index.manifest.task
    if record.reference is None:
        raise InvalidTask(
            f"this index was built from the Task '{record.name}' in memory, which no file declares: pass the Task, as in "
            f"Attributor.open(path, task=task), or open the index without it"
        )
    loaded = load_task(record.reference, base=index.path.resolve().parent)
    if loaded.digest != record.digest:
        raise StaleIndex(
            f"the Task at {record.reference} changed since this index was built: its code is another, comments, layout and "
            "names of variables apart; rebuild the index, or restore the Task's source"
        )
    return loaded.task


def _check_declarations(task: Task, index: AttributionIndex) -> None:
    record = index.manifest.task
    if record.reference is None and task_in_memory(task).digest != record.digest:
        raise StaleIndex(
            f"expected the Task '{record.name}' that this index was built from, got one with another model, loss or other "
            "declaration: pass the Task of the build, or rebuild the index with this one. A model or function that "
            "changes its own fields as it runs is another one afterwards: declare the Task anew"
        )


def _expected(task: Task, index: AttributionIndex) -> Mapping[int, CheckpointDigests]:
    used = sorted({member.checkpoint for member in index.members})
    if used[-1] >= len(task.checkpoints):
        raise StaleIndex(
            f"expected the Task to have the {used[-1] + 1} checkpoints whose weights this index was built from, got "
            f"{len(task.checkpoints)}: rebuild the index, or restore the weights"
        )
    digests = zip(used, index.fingerprint.weights, strict=True)
    return {place: _digests(task.checkpoints[place], digest, index) for place, digest in digests}


def _digests(checkpoint: Checkpoint, expected: str, index: AttributionIndex) -> CheckpointDigests:
    """Make a checkpoint's expected digests. The manifest has one digest of weights, adapters and recording together."""
    adapters, recorded = index.recipe.members.adapters, index.recipe.recorded
    if not adapters and not recorded and checkpoint.base is None:
        return CheckpointDigests(weights=expected)
    if len(checkpoint.adapters) >= adapters:
        found = checkpoint_digests(checkpoint, adapters, recorded=recorded)
        if weights_digest(found) == expected:
            return found
    raise StaleIndex(
        "the weights, adapters or recordings of the Task's checkpoints are not those that this index was built from: "
        "rebuild the index, or restore them"
    )


def require_points(task: Task, index: AttributionIndex) -> None:
    """Require that a Task has the training points of an index, for queries that read them by their rows.

    Raises:
        StaleIndex: It has fewer or more.
    """
    if len(task.train_set) != index.points:
        raise StaleIndex(
            f"the Task has {len(task.train_set)} training points, and this index was built from {index.points}, which "
            "its queries read: rebuild the index, or restore the training set"
        )
