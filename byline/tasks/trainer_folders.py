"""What a training loop leaves beside a checkpoint's weights: Hugging Face's Trainer, and Byline's own file of moments.

checkpoint-500/
  model.safetensors             the weights
  trainer_state.json            global_step, and learning rates in log_history
  optimizer.pt                  Adam's moments, by the parameters' places in the optimizer
  optimizer_state.safetensors   the same by their names, as `byline.models.optimizer_state.adam_state` takes them: read first
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TRAINER_STATE = "trainer_state.json"
MOMENTS = "optimizer_state.safetensors"
OPTIMIZER = "optimizer.pt"


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """Facts of the run that a checkpoint comes from. None where they are not there."""

    learning_rate: float | None = None
    """The last one that was logged up to the checkpoint, where it is above zero."""
    steps: int | None = None
    """Optimizer steps."""
    optimizer_state: Path | None = None
    """File of Adam's moments."""


def run_facts(folder: Path) -> RunFacts:
    """Read what is beside the weights in a folder. What is not there, or has another form, is None.

    Args:
        folder: Folder of one checkpoint.
    """
    moments = next((path for name in (MOMENTS, OPTIMIZER) if (path := folder / name).is_file()), None)
    state = _trainer_state(folder / TRAINER_STATE)
    counted = state.get("global_step")
    steps = counted if type(counted) is int and counted > 0 else None
    return RunFacts(
        learning_rate=None if steps is None else _last_rate(state.get("log_history"), steps),
        steps=steps,
        optimizer_state=moments,
    )


def _trainer_state(path: Path) -> Mapping[str, Any]:
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, Mapping) else {}


def _last_rate(history: object, steps: int) -> float | None:
    """Find the last learning rate in the log up to a step."""
    logged = [each for each in history if isinstance(each, Mapping)] if isinstance(history, list) else []
    rates = [each["learning_rate"] for each in logged if "learning_rate" in each and _until(each, steps)]
    last = rates[-1] if rates else None
    usable = isinstance(last, int | float) and math.isfinite(last) and last > 0
    return float(last) if usable else None  # type: ignore[arg-type]  # a number


def _until(entry: Mapping[str, Any], steps: int) -> bool:
    step = entry.get("step")
    return not isinstance(step, int) or step <= steps
