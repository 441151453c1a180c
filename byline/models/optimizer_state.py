"""Adam's moments of a checkpoint: taken from an optimizer when training ends, and read again for recipes that use them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from byline.digests import require_digest, tensors_digest
from byline.errors import InvalidTask
from byline.gradients.outer_products.blocks import Block
from byline.index.tensors import read_tensors
from byline.members import Member
from byline.scale.moments import FIRST, SECOND, block_moments
from byline.task import Checkpoint, Task
from byline.types import State


def adam_state(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """Take the moments from an Adam or AdamW: what `Checkpoint.optimizer_state` holds.

    Args:
        optimizer: An optimizer after at least one step.
        model: Its parameters name the moments.

    Returns:
        `exp_avg/PARAMETER` and `exp_avg_sq/PARAMETER`, on the CPU. Save them with `safetensors.torch.save_file`.

    Raises:
        InvalidTask: The optimizer keeps no such moments of any parameter of this model.
    """
    found = {
        f"{moment}/{name}": optimizer.state[parameter][moment].detach().cpu().clone()
        for name, parameter in model.named_parameters()
        for moment in (FIRST, SECOND)
        if moment in optimizer.state.get(parameter, {})
    }
    if not found:
        raise InvalidTask(
            f"expected an optimizer with exp_avg and exp_avg_sq of the model's parameters (Adam, AdamW) after a step, "
            f"got {type(optimizer).__name__} without: leave Checkpoint.optimizer_state out and they are estimated"
        )
    return found


def load_optimizer_state(checkpoint: Checkpoint) -> Mapping[str, Tensor] | None:
    """Read a checkpoint's moments. None where it has none.

    Raises:
        InvalidTask: There is no such file, or it is no safetensors file.
    """
    state = checkpoint.optimizer_state
    if state is None or isinstance(state, Mapping):
        return state
    path = Path(state)
    if not path.is_file():
        raise InvalidTask(f"expected Checkpoint.optimizer_state at {path}, found no file")
    try:
        return read_tensors(path)
    except (SafetensorError, OSError) as error:
        raise InvalidTask(f"{path} is not a readable safetensors file: {type(error).__name__}") from error


def load_moments(task: Task, member: Member, blocks: Sequence[Block]) -> State | None:
    """Load the moments of a member's parameters. None where they must be estimated: a LoRA adapter has none.

    Raises:
        InvalidTask: They are there, and do not fit the model.
        StaleIndex: They are not those that an index is made of.
    """
    if member.adapter is not None:
        return None
    checkpoint = task.checkpoints[member.checkpoint]
    tensors = load_optimizer_state(checkpoint)
    if tensors is None:
        return None
    if checkpoint.expected is not None:
        given = checkpoint.optimizer_state
        place = "" if isinstance(given, Mapping) else f" at {given}"
        require_digest(
            f"the optimizer state{place}", tensors_digest(tensors), checkpoint.expected.optimizer_state
        )
    return block_moments(blocks, tensors)
