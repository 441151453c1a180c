"""Train through the Task's own `train`, and evaluate the model on the evaluation set.

Letter: E items of the evaluation set.
"""

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from byline.errors import BylineError, InvalidTask
from byline.index.canonical_json import canonical_digest
from byline.index.durable import atomic_replacement
from byline.models.checkpoints import load_checkpoint
from byline.models.training_points import EVALUATION, collate_items, read_items
from byline.task import Checkpoint, Task
from byline_indexer.evaluation.jobs import Setting

UNREADABLE: tuple[type[Exception], ...] = (
    OSError,
    ValueError,  # pickled objects, which are never read, and headers that are none
    TypeError,  # one array in place of an archive
    KeyError,
    IndexError,
    EOFError,
    MemoryError,  # a shape beyond all reason
    RuntimeError,  # an encrypted archive, or a packing that Python does not know
    zipfile.BadZipFile,
    zlib.error,
)
"""Errors that `numpy.load(..., allow_pickle=False)` raises for an `.npz` file that is missing, damaged or something else."""
REVISION = 1
"""Raised where the same training would leave other files."""
_PREFIX = "outputs/"


@dataclass(frozen=True)
class Retraining:
    """A model of some training points. Its file holds f of every item, for the loss and every target."""

    chosen: bytes
    """A bit for each training point, as `numpy.packbits` has them: many jobs wait in memory."""
    points: int
    """Number of the Task's training points, R."""
    seed: int
    """Seed that `Task.train` is called with."""

    @classmethod
    def of(cls, chosen_R: NDArray[np.bool_], seed: int) -> Self:
        """Take the training points as a mask."""
        return cls(np.packbits(chosen_R).tobytes(), len(chosen_R), seed)

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows of the training points, ascending."""
        bits = np.unpackbits(np.frombuffer(self.chosen, dtype=np.uint8), count=self.points)
        return np.flatnonzero(bits).astype(np.int64)

    def path(self, setting: Setting) -> Path:
        """Path of the file."""
        key = {
            "content": setting.content,
            "chosen": self.chosen.hex(),
            "seed": self.seed,
            "revision": REVISION,
        }
        return setting.folder / f"{canonical_digest(key)[:32]}.npz"

    def finished(self, setting: Setting) -> bool:
        """Tell whether the file is there and whole."""
        return self.read(setting) is not None

    def read(self, setting: Setting) -> dict[str, NDArray[np.float64]] | None:
        """Read f by name, float64 [E]. None where the file is missing or damaged (numpy checks its CRCs)."""
        try:
            with self.path(setting).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return {n.removeprefix(_PREFIX): arrays[n] for n in arrays.files if n.startswith(_PREFIX)}
        except UNREADABLE:
            return None

    def perform(self, setting: Setting, task: Task) -> None:
        """Train the model, evaluate it, and write the file."""
        weights = train(task, self.rows, self.seed)
        found = {f"{_PREFIX}{name}": values for name, values in outputs(task, weights, setting).items()}
        with atomic_replacement(self.path(setting)) as temporary, temporary.open("wb") as file:
            np.savez(file, rows=self.rows, seed=np.int64(self.seed), **found)  # type: ignore[arg-type]


def train(task: Task, rows: NDArray[np.int64], seed: int) -> Mapping[str, Tensor]:
    """Call `Task.train` with torch's generator seeded, and given back as it was.

    Args:
        task: Has `train`.
        rows: Training points.
        seed: Of the training.

    Returns:
        The state dict.

    Raises:
        InvalidTask: `Task.train` raised, or returned something else.
    """
    if task.train is None:
        raise InvalidTask(
            "expected Task.train, (rows, seed) -> state dict, got a Task without it: see docs/tasks.md"
        )
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            weights = task.train(rows.tolist(), seed)
    except BylineError:
        raise
    except Exception as error:
        raise InvalidTask(
            f"Task.train raised {type(error).__name__} on {len(rows)} rows with seed {seed}: {error}"
        ) from error
    if not isinstance(weights, Mapping) or not all(isinstance(v, Tensor) for v in weights.values()):
        raise InvalidTask(
            f"expected Task.train to return a state dict, name -> tensor, got {type(weights).__name__}"
        )
    return weights


@torch.no_grad()
def outputs(task: Task, weights: Mapping[str, Tensor], setting: Setting) -> dict[str, NDArray[np.float64]]:
    """Evaluate a trained model on the evaluation set.

    Args:
        task: Has an `evaluation_set`.
        weights: The model's.
        setting: Device and batch size.

    Returns:
        f by name, float64 [E]: minus the `loss`, and every target.

    Raises:
        InvalidTask: The weights do not fit the model, or an output is not a finite number an item.
    """
    model = task.model()
    load_checkpoint(model, Checkpoint(weights=weights))
    device = torch.device(setting.device)
    model = model.to(device).eval()
    items = task.evaluation_set or ()
    names = ["loss", *sorted(task.targets)]
    found: dict[str, list[Tensor]] = {name: [] for name in names}
    for start in range(0, len(items), setting.batch_rows):
        chunk = read_items(items, range(start, min(start + setting.batch_rows, len(items))), EVALUATION)
        batch = collate_items(task, chunk, device)
        for name in names:
            lowered_N = task.objective(name)(model, batch)
            if lowered_N.shape != (len(chunk),):
                raise InvalidTask(
                    f"expected '{name}' to give one number an item, [{len(chunk)}], got {list(lowered_N.shape)}"
                )
            found[name].append(-lowered_N.double().cpu())
    values = {name: torch.cat(parts).numpy() for name, parts in found.items()}
    for name, values_E in values.items():
        if not np.isfinite(values_E).all():
            raise InvalidTask(
                f"'{name}' of a retrained model is not finite on {int((~np.isfinite(values_E)).sum())} of "
                f"{len(values_E)} items, the first at row {int(np.argmin(np.isfinite(values_E)))} of the evaluation set: "
                f"look at it, or make Task.train converge on subsets too"
            )
    return values
