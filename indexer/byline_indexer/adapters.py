"""Train LoRA adapters on one checkpoint: ensemble members at a fraction of the cost of a training.

Nothing here knows a model: the Task's own loss is lowered on the Task's own training set.
"""

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from byline.errors import InvalidInput, InvalidTask
from byline.index.durable import TEMPORARY
from byline.index.tensors import write_tensors
from byline.loading.failures import error_text
from byline.models.adapters import ADAPTER_LAYERS, CONFIG, PREFIX, WEIGHTS, inject, peft
from byline.models.checkpoints import checkpoint_digests, load_checkpoint
from byline.models.training_points import collate_items, faulty_item_named, read_items
from byline.paths import local_path
from byline.task import Checkpoint, Item, Task
from byline_indexer.progress import Observer, Silent

TRAINING = "training.json"
"""Beside an adapter: what it was trained with, so that one of other settings is not taken for it."""


@dataclass(frozen=True, kw_only=True)
class AdapterOptions:
    """Options of adapter training."""

    rank: int = 8
    """Columns of the two matrices of a layer. More can follow more of the training set, and cost more everywhere."""
    alpha: float = 16.0
    """The adapter's output is multiplied by alpha / rank."""
    dropout: float = 0.0
    """Dropout rate of the adapters' inputs during training."""
    targets: tuple[str, ...] | None = None
    """Names of modules, or the ends of such. None takes every linear layer whose weight is not shared."""
    epochs: int = 1
    """Passes over the training set."""
    batch: int = 32
    """Training examples of one step."""
    learning_rate: float = 1e-3
    """Learning rate of AdamW, which falls linearly to zero."""
    seed: int = 0
    """Adapter number l begins with, and orders its data by, seed + l."""
    device: str = "cpu"
    """Device of the training."""


def train_adapters(
    task: Task,
    checkpoint: int,
    options: AdapterOptions,
    out: Path,
    *,
    count: int = 5,
    observer: Observer | None = None,
) -> list[Path]:
    """Train adapters that differ by their first weights and the order of their data.

    A finished adapter stays. After an interruption the same call goes on with the first that is not finished.

    Args:
        task: The Task. Its loss is lowered on its training set.
        checkpoint: Position of the weights in `Task.checkpoints`. They stay as they are.
        options: How.
        out: Folder of the adapters' folders.
        count: How many.
        observer: Receives the progress of every step.

    Returns:
        The adapters' folders, for `Checkpoint.adapters`.

    Raises:
        InvalidTask: The weights do not fit, or the loss is not finite.
        InvalidInput: `out` holds an adapter that was trained otherwise.
        InvalidRecipe: peft is not installed.
    """
    observer = observer or Silent()
    local_path(out, "--out")
    if checkpoint >= len(task.checkpoints):
        raise InvalidInput(f"expected a checkpoint below {len(task.checkpoints)}, got {checkpoint}")
    expected = checkpoint_digests(task.checkpoints[checkpoint])
    weights = replace(task.checkpoints[checkpoint], expected=expected)
    folders = []
    for number in range(count):
        folder = out / f"adapter-{number:02d}"
        record = {
            **asdict(options),
            "seed": options.seed + number,
            "weights": expected.weights,
            "rows": len(task.train_set),
        }
        record.pop("device")
        if not _finished(folder, record):
            model, settings = _train(task, weights, options, number, observer)
            _save(model, settings, folder, record)
        folders.append(folder)
    return folders


def _finished(folder: Path, record: dict[str, object]) -> bool:
    if not folder.exists():
        return False
    try:
        found = json.loads((folder / TRAINING).read_text())
    except (OSError, ValueError):
        found = None
    if found != json.loads(json.dumps(record)):
        raise InvalidInput(
            f"expected {folder} to hold an adapter of these settings and weights, found another: choose another "
            f"folder with --out, or delete it"
        )
    return True


def _train(
    task: Task, checkpoint: Checkpoint, options: AdapterOptions, number: int, observer: Observer
) -> tuple[nn.Module, dict[str, Any]]:
    seed, device = options.seed + number, torch.device(options.device)
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(seed)
        model = task.model()
        load_checkpoint(model, checkpoint)
        settings = _settings(model, options)
        try:
            model = inject(model, settings).to(device)
        except ValueError as error:
            raise InvalidInput(
                f"expected --target to name linear layers inside the model, got names that fit none ({error_text(error)})"
            ) from error
        steps = list(_batches(len(task.train_set), options, seed))
        trained = [p for n, p in model.named_parameters() if ADAPTER_LAYERS.selects(n)]
        optimizer = torch.optim.AdamW(trained, lr=options.learning_rate, weight_decay=0.0)
        _training_mode(model)
        for step, rows in enumerate(steps):
            for group in optimizer.param_groups:
                group["lr"] = options.learning_rate * (1 - step / len(steps))
            items = read_items(task.train_set, rows)
            with faulty_item_named(items, lambda item: _finite_loss(task, model, [item])):
                loss = _finite_loss(task, model, items)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            observer.progress(f"adapter {number}", step + 1, len(steps))
    return model, settings


def _finite_loss(task: Task, model: nn.Module, items: Sequence[Item]) -> Tensor:
    batch = collate_items(task, items, next(model.parameters()).device)
    loss = task.loss(model, batch).mean()
    if not bool(loss.isfinite()):
        raise InvalidTask(
            "the loss of an adapter in training is NaN or infinite: lower --learning-rate, or repair the training points"
        )
    return loss


def _save(model: nn.Module, settings: dict[str, Any], folder: Path, record: dict[str, object]) -> None:
    """Write peft's two files, and what they were trained with. The folder appears when it is complete."""
    temporary = folder.with_name(f"{TEMPORARY}{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    state = peft().get_peft_model_state_dict(model)
    prefixed = {f"{PREFIX}{name}": tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    write_tensors(temporary / WEIGHTS, prefixed)
    peft().LoraConfig(**settings).save_pretrained(temporary)
    document = json.loads((temporary / CONFIG).read_text())
    document["target_modules"] = settings["target_modules"]  # a list is a set to peft, in any order
    (temporary / CONFIG).write_text(json.dumps(document, indent=2, sort_keys=True))
    (temporary / TRAINING).write_text(json.dumps(record, indent=2, sort_keys=True))
    temporary.rename(folder)


def _settings(model: nn.Module, options: AdapterOptions) -> dict[str, Any]:
    """Translate the options into peft's names."""
    return {
        "r": options.rank,
        "lora_alpha": options.alpha,
        "lora_dropout": options.dropout,
        "target_modules": sorted(options.targets) if options.targets else _linear_layers(model),
    }


def _linear_layers(model: nn.Module) -> str:
    """Name all linear layers with a weight of their own, in one regular expression as peft takes it."""
    owners: dict[int, int] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    names = [
        name
        for name, module in model.named_modules()
        if (type(module) is nn.Linear or type(module).__name__ == "Conv1D") and owners[id(module.weight)] == 1
    ]
    if not names:
        raise InvalidTask(
            "expected a model with linear layers, got one with none: name --targets that peft knows"
        )
    return "|".join(map(re.escape, names))


def _training_mode(model: nn.Module) -> None:
    """Turn dropout on and leave batch statistics as the checkpoint has them."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def _batches(rows: int, options: AdapterOptions, seed: int) -> Iterator[Sequence[int]]:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(options.epochs):
        order = torch.randperm(rows, generator=generator).tolist()
        for start in range(0, rows, options.batch):
            yield order[start : start + options.batch]
