"""The Task of the digits benchmark, over the weights that `benchmarks.accuracy.digits` trained and kept."""

from dataclasses import replace
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from benchmarks.tasks import CACHE
from benchmarks.tasks.networks import Protocol, digits, full_models
from byline.api.example import Example
from byline.task import Checkpoint, Task
from byline.tasks import TrainedModel, TrainingData, vector_classification
from examples.digits.task import model

FULL = Protocol()
SMOKE = Protocol(train=120, queries=10, tuning=10, subsets=6, seeds=2, epochs=3)
ALONG = (0.1, 0.2, 0.4, 0.7, 1.0)
"""Parts of a run after which its checkpoints are taken."""


def keep(weights: list[dict[str, Tensor]], protocol: Protocol) -> None:
    """Save the models that are attributed."""
    folder = _folder(protocol)
    folder.mkdir(parents=True, exist_ok=True)
    for seed, state in enumerate(weights):
        save_file(state, folder / f"seed-{seed}.safetensors")


def kept(protocol: Protocol) -> bool:
    """Whether models that are attributed are there."""
    return any(_folder(protocol).glob("seed-*.safetensors"))


def keep_runs(protocol: Protocol, count: int) -> None:
    """Save checkpoints along the runs that made the models: the first epochs of a run are a shorter run."""
    folder = _folder(protocol) / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    for part in ALONG:
        shorter = replace(protocol, epochs=max(1, round(part * protocol.epochs)))
        for seed, state in enumerate(full_models(digits(protocol), shorter, count)):
            save_file(state, folder / f"seed-{seed}-{round(100 * part):03d}.safetensors")


def task() -> Task:
    """The whole benchmark's Task."""
    return _task(FULL, "seed-*.safetensors")


def smoke() -> Task:
    """The tiny run's Task."""
    return _task(SMOKE, "seed-*.safetensors")


def runs() -> Task:
    """The same with the checkpoints of every run in place of its last one, run after run."""
    return _task(FULL, "runs/seed-*.safetensors")


def _folder(protocol: Protocol) -> Path:
    return CACHE / f"digits-{protocol.train}-{protocol.epochs}"


def _task(protocol: Protocol, weights: str) -> Task:
    data = digits(protocol)
    examples = [Example(id=f"digit-{row}", label=str(int(y))) for row, y in enumerate(data.y)]
    trained = TrainedModel(
        name="digits",
        model=model,
        checkpoints=[
            Checkpoint(weights=path, learning_rate=protocol.learning_rate)
            for path in sorted(_folder(protocol).glob(weights))
        ],
        data=TrainingData.from_arrays(data.x, data.y, examples),
    )
    return vector_classification(trained, classes=[str(digit) for digit in range(10)])
