"""The weights of a Task's checkpoints: loaded, digested, and compared with the digests that an index names.

Weights are data and are read as such (`byline.models.weight_files`). Nothing is unpickled.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from byline.digests import require_digest, tensors_digest
from byline.index.recordings import recording_digest
from byline.models.adapters import adapter_folder, read_adapter
from byline.models.fine_tunes import fine_tune_digests, load_fine_tune
from byline.models.optimizer_state import load_optimizer_state
from byline.models.weight_files import read_weights
from byline.models.weights import put_weights
from byline.task import Checkpoint, CheckpointDigests, Task


def load_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Read a checkpoint's state dict, by the names that are stored.

    Raises:
        InvalidTask: There is no such file, or it holds something else.
    """
    if isinstance(checkpoint.weights, Mapping):
        return dict(checkpoint.weights)
    return read_weights(Path(checkpoint.weights))


def load_checkpoint(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Put a checkpoint's weights into a model. See `byline.models.weights.put_weights` for the names that are understood.

    With `Checkpoint.base`, the weights are an adapter's and the base's go below it.

    Raises:
        InvalidTask: There are none, or they are not the model's.
        StaleIndex: They are not those that an index is made of.
    """
    if checkpoint.base is None:
        put_weights(model, _checked_weights(checkpoint))
    else:
        load_fine_tune(model, checkpoint)


def _checked_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Load weights, and compare these very tensors with the expected digest."""
    weights = load_weights(checkpoint)
    if checkpoint.expected is not None:
        own = isinstance(checkpoint.weights, Mapping)
        place = "that the Task makes (seed its random numbers)" if own else f"at {checkpoint.weights}"
        require_digest(f"the weights {place}", tensors_digest(weights), checkpoint.expected.weights)
    return weights


def checkpoint_digests(
    checkpoint: Checkpoint,
    adapters: int = 0,
    *,
    recorded: bool = False,
    moments: Callable[[], nn.Module] | None = None,
) -> CheckpointDigests:
    """Read what a checkpoint is made of.

    Args:
        checkpoint: The weights.
        adapters: Number of its LoRA adapters that are used. The others do not count.
        recorded: Whether its recorded run is used.
        moments: Builds the model, where the checkpoint's optimizer state is used. None leaves that out.

    Returns:
        Digests of these parts.

    Raises:
        InvalidTask: One of them cannot be read.
        InvalidRecipe: It has fewer adapters.
    """
    state = None if moments is None else load_optimizer_state(checkpoint, moments)
    return replace(
        _own_digests(checkpoint),
        adapters=tuple(read_adapter(adapter_folder(checkpoint, number)).digest for number in range(adapters)),
        recording=recording_digest(checkpoint.recording) if recorded else None,
        optimizer_state=None if state is None else tensors_digest(state),
    )


def _own_digests(checkpoint: Checkpoint) -> CheckpointDigests:
    if checkpoint.base is not None:
        return fine_tune_digests(checkpoint)
    return CheckpointDigests(weights=tensors_digest(load_weights(checkpoint)))


def weights_digest(digests: CheckpointDigests) -> str:
    """Combine the digests of weights, base, adapters and recording. Weights alone keep their own."""
    if not digests.adapters and digests.recording is None and digests.base is None:
        return digests.weights
    base = () if digests.base is None else (f"base:{digests.base}",)
    parts = (*base, f"recording:{digests.recording}", *(f"adapter:{adapter}" for adapter in digests.adapters))
    return hashlib.sha256(":".join((*parts, digests.weights)).encode()).hexdigest()


def pin_checkpoints(task: Task, digests: Mapping[int, CheckpointDigests]) -> Task:
    """Compare every later loading of some checkpoints with digests.

    Args:
        task: The Task.
        digests: Digests of its checkpoints, by their positions.

    Returns:
        The same Task. Its checkpoints say what is expected of them.
    """
    checkpoints = [
        replace(checkpoint, expected=digests[place]) if place in digests else checkpoint
        for place, checkpoint in enumerate(task.checkpoints)
    ]
    return replace(task, checkpoints=checkpoints)
