"""Read weights from a disk: a file, its shards, a folder of either, or a training loop's checkpoint.

Weights are data and are read as such: safetensors, or `torch.load` with `weights_only`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from byline.errors import InvalidTask
from byline.index.tensors import read_tensors

IN_FOLDERS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""Files of a folder's weights, in the order in which `from_pretrained` looks for them."""
ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json")
"""Files of an adapter's folder, as peft writes it: its weights and its settings."""
ADAPTER_ARGUMENT = "byline.tasks.LocalModel(folder=BASE, adapter=FOLDER)"
_IN_CHECKPOINTS = ("state_dict", "model_state_dict", "model", "module", "net", "network")
"""Keys under which training loops keep the weights, beside an optimizer's state and a step: Lightning, PyTorch's
tutorials, nanoGPT, DeepSpeed."""


def weights_file(path: Path) -> Path:
    """Find a folder's weights. A file is its own.

    Args:
        path: A file, or a folder as `save_pretrained` writes it.

    Raises:
        InvalidTask: There is no such file.
    """
    if path.is_dir():
        for name in IN_FOLDERS:
            if (path / name).is_file():
                return path / name
        if any((path / name).is_file() for name in ADAPTER_FILES):
            raise InvalidTask(
                f"expected the weights of a whole model in {path}, found an adapter: pass it as {ADAPTER_ARGUMENT}"
            )
        raise InvalidTask(
            f"expected weights in the folder {path}, found none of {', '.join(IN_FOLDERS)}: name the file"
        )
    if not path.is_file():
        raise InvalidTask(f"expected a checkpoint at {path}, found no file")
    if path.name in ADAPTER_FILES:
        raise InvalidTask(
            f"expected the weights of a whole model at {path}, found an adapter's: pass its folder as {ADAPTER_ARGUMENT}"
        )
    return path


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict.

    Args:
        path: A `.safetensors` file, one of `torch.save`, an index of shards (`.index.json`), or a folder that holds one.

    Returns:
        Tensors by name, on the CPU.

    Raises:
        InvalidTask: There is no such file, or it holds something else.
    """
    path = weights_file(path)
    return _read_shards(path) if path.suffix == ".json" else _read_file(path)


def _read_shards(index: Path) -> dict[str, Tensor]:
    places = _weight_map(index)
    weights: dict[str, Tensor] = {}
    for name in sorted(set(places.values())):
        if not (index.parent / name).is_file():
            raise InvalidTask(
                f"expected the shard {name} beside {index}, found no file: copy all of the checkpoint"
            )
        weights |= _read_file(index.parent / name)
    absent = [name for name in places if name not in weights]
    if absent:
        raise InvalidTask(
            f"{index} lists {len(places)} tensors, and its shards lack {len(absent)} of them, the first '{absent[0]}': "
            f"copy all of the checkpoint"
        )
    return weights


def _weight_map(index: Path) -> dict[str, str]:
    try:
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        good = all(isinstance(v, str) and v and v == Path(v).name for v in places.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidTask(
            f"expected {index} to be an index of shards, as save_pretrained writes it: {type(error).__name__}"
        ) from error
    if not good or not places:
        raise InvalidTask(f"expected the weight_map of {index} to name files beside it, got something else")
    return dict(places)


def _read_file(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return read_tensors(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, ValueError, OSError, EOFError) as error:
        raise InvalidTask(f"{path} is not a readable checkpoint: {type(error).__name__}") from error
    except Exception as error:  # torch raises pickle.UnpicklingError for anything but weights
        raise InvalidTask(
            f"{path} holds more than weights and is not unpickled: save model.state_dict(), best as safetensors"
        ) from error
    return _state_dict(found, path)


def _state_dict(found: Any, path: Path) -> dict[str, Tensor]:
    """Take the weights out of what a training loop saved."""
    inner = found
    while isinstance(inner, Mapping) and not _is_state_dict(inner):
        inner = next((inner[name] for name in _IN_CHECKPOINTS if isinstance(inner.get(name), Mapping)), None)
    if inner is None or not _is_state_dict(inner):
        raise InvalidTask(
            f"expected {path} to hold a state dict, name -> tensor, or one under {', '.join(_IN_CHECKPOINTS)}, got a "
            f"{type(found).__name__} without: save model.state_dict()"
        )
    return dict(inner)


def _is_state_dict(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items())
    )
