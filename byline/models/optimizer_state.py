"""Adam's moments of a checkpoint: taken from an optimizer when training ends, and read again for recipes that use them."""

from collections.abc import Callable, Mapping, Sequence
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

_OF_TORCH = (".pt", ".pth", ".bin")
"""Files of `torch.save(optimizer.state_dict(), ...)`."""


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


def saved_adam_state(path: Path | str, model: nn.Module) -> dict[str, Tensor]:
    """Take the moments from a file of `torch.save(optimizer.state_dict(), ...)`, such as the Trainer's `optimizer.pt`.

    Such a file numbers the parameters by their place in the optimizer. Two orders are known: all parameters of the model as
    they come, or those with two axes and more before the others (weight decay or none, as in Hugging Face's Trainer).

    Args:
        path: The file. It is read with `weights_only`.
        model: The model that was trained. Its parameters name the moments.

    Returns:
        As `adam_state`.

    Raises:
        InvalidTask: The file cannot be read, or holds no moments of this model's parameters in a known order.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        moments, groups = saved["state"], [list(group["params"]) for group in saved["param_groups"]]
    except Exception as error:  # torch raises pickle.UnpicklingError for anything but tensors
        raise InvalidTask(
            f"expected an optimizer's state dict at {path}, saved by torch.save, got a file that is none: "
            f"{type(error).__name__}"
        ) from error
    for names in _known_orders(model, len(groups)):
        found = _named_moments(moments, [number for group in groups for number in group], names, model)
        if found:
            return found
    raise InvalidTask(
        f"expected {path} to hold exp_avg and exp_avg_sq of the model's {len(list(model.parameters()))} parameters, in one "
        f"group or in two (with weight decay and without), got others: save adam_state(optimizer, model) while training, or "
        f"leave Checkpoint.optimizer_state out and they are estimated"
    )


def _known_orders(model: nn.Module, groups: int) -> list[list[str]]:
    """List the names of the trained parameters in the orders in which optimizers are known to take them."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if groups == 1:
        return [list(trained)]
    wide = [name for name, p in trained.items() if p.dim() >= 2]
    return [[*wide, *(name for name in trained if trained[name].dim() < 2)]] if groups == 2 else []


def _named_moments(
    moments: Mapping[int, Mapping[str, Tensor]],
    numbers: Sequence[int],
    names: Sequence[str],
    model: nn.Module,
) -> dict[str, Tensor] | None:
    """Name the moments. None where a number, a moment or a shape does not fit."""
    parameters = dict(model.named_parameters())
    if len(numbers) != len(names):
        return None
    found: dict[str, Tensor] = {}
    for number, name in zip(numbers, names, strict=True):
        for moment in (FIRST, SECOND):
            tensor = moments.get(number, {}).get(moment)
            if not isinstance(tensor, Tensor) or tensor.shape != parameters[name].shape:
                return None
            found[f"{moment}/{name}"] = tensor.clone()
    return found


def load_optimizer_state(
    checkpoint: Checkpoint, model: Callable[[], nn.Module]
) -> Mapping[str, Tensor] | None:
    """Read a checkpoint's moments. None where it has none.

    Args:
        checkpoint: Of the model.
        model: Builds it. Its parameters name the moments in a file of torch, such as the Trainer's `optimizer.pt`.

    Raises:
        InvalidTask: There is no such file, or it holds no moments of this model.
    """
    state = checkpoint.optimizer_state
    if state is None or isinstance(state, Mapping):
        return state
    path = Path(state)
    if not path.is_file():
        raise InvalidTask(f"expected Checkpoint.optimizer_state at {path}, found no file")
    if path.suffix in _OF_TORCH:
        return saved_adam_state(path, model())
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
    tensors = load_optimizer_state(checkpoint, task.model)
    if tensors is None:
        return None
    if checkpoint.expected is not None:
        given = checkpoint.optimizer_state
        place = "" if isinstance(given, Mapping) else f" at {given}"
        require_digest(
            f"the optimizer state{place}", tensors_digest(tensors), checkpoint.expected.optimizer_state
        )
    return block_moments(blocks, tensors)
