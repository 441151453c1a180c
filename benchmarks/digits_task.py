"""The Task of the digits benchmark, over the weights that `benchmarks.digits` trained and kept."""

from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from benchmarks.digits_truth import Protocol, digits
from byline.examples import Example
from byline.task import Checkpoint, Task
from byline.tasks import Trained, TrainingData, vector_classification
from examples.digits.task import model

CACHE = Path(__file__).resolve().parents[1] / ".bench"
FULL = Protocol()
SMOKE = Protocol(train=120, queries=10, tuning=10, subsets=6, seeds=2, epochs=3)


def keep(weights: list[dict[str, Tensor]], protocol: Protocol) -> None:
    """Save the models that are attributed."""
    folder = _folder(protocol)
    folder.mkdir(parents=True, exist_ok=True)
    for seed, state in enumerate(weights):
        save_file(state, folder / f"seed-{seed}.safetensors")


def task() -> Task:
    """The whole benchmark's Task."""
    return _task(FULL)


def smoke() -> Task:
    """The tiny run's Task."""
    return _task(SMOKE)


def _folder(protocol: Protocol) -> Path:
    return CACHE / f"digits-{protocol.train}-{protocol.epochs}"


def _task(protocol: Protocol) -> Task:
    data = digits(protocol)
    examples = [Example(id=f"digit-{row}", label=str(int(y))) for row, y in enumerate(data.y)]
    trained = Trained(
        name="digits",
        model=model,
        checkpoints=[
            Checkpoint(weights=path) for path in sorted(_folder(protocol).glob("seed-*.safetensors"))
        ],
        data=TrainingData.from_arrays(data.x, data.y, examples),
    )
    return vector_classification(trained, classes=[str(digit) for digit in range(10)])
