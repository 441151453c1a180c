"""LoRA adapters as members: read from peft's folders, put into the Task's own model, attributed alone.

peft is imported when the first adapter is used. Weights are read from safetensors and nothing is unpickled.
"""

import hashlib
import json
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from byline.declarations import kind
from byline.digests import tensors_digest
from byline.errors import InvalidRecipe, InvalidTask
from byline.index.canonical_json import canonical_digest
from byline.index.tensors import read_tensors
from byline.models.weight_files import ADAPTER_FILES
from byline.task import Checkpoint, LayerSelection

ADAPTER_LAYERS = LayerSelection(include=("*lora_A.*", "*lora_B.*"))
"""Attributed layers of a model with an adapter: the adapter's matrices and nothing else."""
WEIGHTS, CONFIG = ADAPTER_FILES
PREFIX = "base_model.model."
"""Before every name in them."""
_NAME = "default"
_UNIMPORTANT = ("peft_version", "base_model_name_or_path", "revision", "inference_mode", "task_type")


def adapter_folder(checkpoint: Checkpoint, number: int) -> Path:
    """Return the folder of an adapter.

    Raises:
        InvalidRecipe: The checkpoint does not have as many.
    """
    if number >= len(checkpoint.adapters):
        raise InvalidRecipe(
            f"expected members.adapters to be at most the adapters of every checkpoint, got {number + 1} where one has "
            f"{len(checkpoint.adapters)}: list more folders in Checkpoint.adapters (`byline train-adapters` makes them)"
        )
    return Path(checkpoint.adapters[number])


def peft() -> Any:
    """Import peft.

    Raises:
        InvalidRecipe: It is not installed.
    """
    log = logging.getLogger("bitsandbytes")
    level = log.level
    log.setLevel(logging.ERROR)  # peft imports it, and it warns of kernels that it would like to download
    try:
        import peft as library
    except ImportError as error:
        raise InvalidRecipe(
            "expected peft to be installed, which adapters need: pip install 'byline[lora]'"
        ) from error
    finally:
        log.setLevel(level)
    return library


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter in memory."""

    folder: Path
    document: Mapping[str, Any]
    """Its settings, as peft wrote them."""
    tensors: Mapping[str, Tensor]
    """Its matrices, under peft's names."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the adapter's settings and numbers, in an order of its own."""
        both = f"{canonical_digest(architecture(self.document))}:{tensors_digest(self.tensors)}"
        return hashlib.sha256(both.encode()).hexdigest()


def read_adapter(folder: Path) -> Adapter:
    """Read what `save_pretrained` of peft wrote into a folder.

    Raises:
        InvalidTask: It is not there, or no LoRA adapter in safetensors.
    """
    return Adapter(folder, _document(folder), adapter_tensors(folder))


def put_adapter(model: nn.Module, adapter: Adapter) -> nn.Module:
    """Put an adapter into a model. The names of its modules and the form of its call stay.

    Args:
        model: With the weights that the adapter was trained on.
        adapter: Its settings and matrices.

    Returns:
        The same model. LoRA matrices stand beside the layers that they change.

    Raises:
        InvalidTask: The folder holds no LoRA adapter of this model, or more than one.
        InvalidRecipe: peft is not installed.
    """
    folder = adapter.folder
    settings = _settings(adapter.document)
    try:
        model = inject(model, settings)
    except ValueError as error:
        raise InvalidTask(f"{folder}: its target modules are not the model's: {error}") from error
    own = {name for name, _ in model.named_parameters() if ADAPTER_LAYERS.selects(name)}
    given = {_own_name(name): tensor for name, tensor in adapter.tensors.items()}
    if set(given) != own:
        raise InvalidTask(
            f"{folder}: expected {len(own)} LoRA matrices for this model, got {len(given)} tensors of which "
            f"{len(set(given) - own)} are not among them. Only plain LoRA (lora_A, lora_B) without trained "
            f"biases, embeddings or other modules can be attributed"
        )
    try:
        model.load_state_dict(given, strict=False)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InvalidTask(f"{folder}: its shapes are not the model's: {reason}") from error
    return model


def read_settings(folder: Path) -> dict[str, Any]:
    """Read the settings of an adapter of any kind.

    Raises:
        InvalidTask: There are none.
    """
    try:
        document = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidTask(
            f"expected a LoRA adapter's {CONFIG} in {folder}, found none that can be read"
        ) from error
    if not isinstance(document, dict):
        raise InvalidTask(
            f"expected {folder / CONFIG} to hold an adapter's settings, found a {kind(document)}"
        )
    return document


def inject(model: nn.Module, settings: Mapping[str, Any]) -> nn.Module:
    """Put untrained LoRA matrices into a model.

    Args:
        model: Changed in place.
        settings: Settings of peft's `LoraConfig`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft tells that it corrects fan_in_fan_out for transposed layers
        made: nn.Module = peft().inject_adapter_in_model(peft().LoraConfig(**settings), model, _NAME)
    return made


def adapter_tensors(folder: Path) -> dict[str, Tensor]:
    """Read an adapter's weights.

    Raises:
        InvalidTask: They are not there, or not safetensors.
    """
    try:
        return read_tensors(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise InvalidTask(
            f"expected a LoRA adapter's {WEIGHTS} in {folder}: save adapters with peft's save_pretrained, which "
            f"writes safetensors"
        ) from error


def require_same_blocks(checkpoints: Mapping[int, Checkpoint], count: int) -> None:
    """Require that all adapters change the same layers by matrices of the same shapes.

    Args:
        checkpoints: Those that are used, by their positions.
        count: Adapters of each.

    Raises:
        InvalidTask: They differ.
        InvalidRecipe: A checkpoint has fewer.
    """
    folders = [adapter_folder(c, number) for c in checkpoints.values() for number in range(count)]
    for folder in folders[1:]:
        if _shapes(folder) != _shapes(folders[0]):
            raise InvalidTask(
                f"expected all adapters to have the same target modules and ranks, but {folder} differs from "
                f"{folders[0]}: an index's members have the same parameters"
            )


def architecture(document: Mapping[str, Any]) -> dict[str, Any]:
    """Take the settings that decide what an adapter computes. Lists of target modules are sets to peft, in any order."""
    return {
        n: sorted(v) if isinstance(v, list) and all(isinstance(e, str) for e in v) else v
        for n, v in document.items()
        if n not in _UNIMPORTANT
    }


def _own_name(name: str) -> str:
    """`base_model.model.fc.lora_A.weight` -> `fc.lora_A.default.weight`."""
    stem, _, last = name.removeprefix(PREFIX).rpartition(".")
    return f"{stem}.{_NAME}.{last}"


def _shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return {name: tuple(tensor.shape) for name, tensor in adapter_tensors(folder).items()}


def _document(folder: Path) -> dict[str, Any]:
    document = read_settings(folder)
    if document.get("peft_type") != "LORA":
        raise InvalidTask(f"expected {folder / CONFIG} to describe a LoRA adapter, found another kind")
    return document


def _settings(document: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the settings that this release of peft knows."""
    known = peft().LoraConfig.__dataclass_fields__
    return {n: v for n, v in document.items() if n in known and n not in {"peft_type", *_UNIMPORTANT}}
