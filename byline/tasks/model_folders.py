"""Find the parts of a language model in the folders that `save_pretrained`, peft and Hugging Face's Trainer leave.

output/                     the Trainer's, with the last weights or without
  config.json, model.safetensors (or shards), tokenizer.json
  adapter_config.json, adapter_model.safetensors     in place of the weights, where an adapter was trained
  checkpoint-500/           the same of an earlier step, with trainer_state.json and optimizer.pt
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from byline.errors import InvalidTask
from byline.models.adapters import CONFIG, architecture, read_settings
from byline.models.weight_files import ADAPTER_FILES, IN_FOLDERS
from byline.paths import in_task_folder

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json")


@dataclass(frozen=True, kw_only=True)
class ModelFolders:
    """The places of a model's parts."""

    config: Path
    """Folder with `config.json`: of the weights below, where there is an adapter."""
    tokenizer: Path
    """Folder with the tokenizer's files."""
    checkpoints: tuple[Path, ...]
    """Files or folders of the weights, or of the adapter's, in the order of their steps."""
    adapter: dict[str, Any] | None = None
    """Settings of the adapter, which all checkpoints share. None where whole models are."""


def find_folders(folder: Path | None, adapter: Path | None, checkpoints: Sequence[Path] = ()) -> ModelFolders:
    """Find the parts of a model.

    Args:
        folder: Of a whole model, of an adapter, or of a Trainer's run of either.
        adapter: Of an adapter or of a run of one. `folder` then holds the weights below it. None takes the folder that
            the adapter's settings name.
        checkpoints: Files or folders in place of those found.

    Returns:
        Their places.

    Raises:
        InvalidTask: A part is not there, or checkpoints are of different adapters.
    """
    place = adapter or folder
    if place is None:
        raise InvalidTask("expected folder=... or adapter=..., got neither")
    found = tuple(checkpoints) or _weights_below(place)
    if adapter is None and not any((each / CONFIG).is_file() for each in found):
        config = next((each for each in (place, *found) if (each / "config.json").is_file()), place)
        return ModelFolders(config=config, tokenizer=_tokenizer(place, found, config), checkpoints=found)
    settings = _shared_settings(found)
    base = folder if adapter is not None and folder is not None else _named_base(settings, place)
    return ModelFolders(
        config=base, tokenizer=_tokenizer(place, found, base), checkpoints=found, adapter=settings
    )


def run_checkpoints(folder: Path) -> list[Path]:
    """List the `checkpoint-*` folders of a Trainer's output folder, in the order of their steps."""
    steps = {
        int(m[1]): path for path in folder.glob("checkpoint-*") if (m := _CHECKPOINT.fullmatch(path.name))
    }
    return [steps[step] for step in sorted(steps) if steps[step].is_dir()]


def _weights_below(place: Path) -> tuple[Path, ...]:
    """Take the folder's own weights, or those of its checkpoints where it has none."""
    if _has_weights(place):
        return (place,)
    steps = run_checkpoints(place)
    kept = [each for each in steps if _has_weights(each)]
    if kept and kept[-1] != steps[-1]:
        raise InvalidTask(
            f"expected the weights of the run's last checkpoint in {steps[-1]}, found none, and {kept[-1].name} is an "
            f"earlier one: copy the weights again, name the checkpoints with LocalModel(checkpoints=(...)), or delete the "
            f"folder to take the earlier ones"
        )
    return tuple(kept) or (place,)


def _has_weights(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (*IN_FOLDERS, *ADAPTER_FILES))


def _tokenizer(place: Path, checkpoints: Sequence[Path], config: Path) -> Path:
    folders = (place, *reversed(checkpoints), config)
    return next((f for f in folders if any((f / name).is_file() for name in _TOKENIZER)), config)


def _shared_settings(folders: Sequence[Path]) -> dict[str, Any]:
    first = read_settings(folders[0])
    for folder in folders[1:]:
        if architecture(read_settings(folder)) != architecture(first):
            raise InvalidTask(
                f"expected checkpoints of one adapter, got settings in {folder} that differ from those in {folders[0]}: "
                f"pass the checkpoints of one run"
            )
    return first


def _named_base(settings: dict[str, Any], adapter: Path) -> Path:
    """Take the base model that an adapter's settings name, where it is a folder of this machine."""
    name = settings.get("base_model_name_or_path")
    base = in_task_folder(Path(name)) if isinstance(name, str) and name else None
    if base is None or not (base / "config.json").is_file():
        raise InvalidTask(
            f"expected {adapter / CONFIG} to name a base model in a local folder, got another name: pass "
            f"LocalModel(folder=BASE, adapter={str(adapter)!r}), or --hf BASE --adapter {adapter}"
        )
    return base
