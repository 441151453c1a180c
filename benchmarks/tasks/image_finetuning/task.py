"""The Task: images of made-up owners; one Task for each pretrained network."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.tasks import CACHE
from benchmarks.tasks.image_finetuning.images import images_of
from benchmarks.tasks.image_finetuning.protocol import FULL, SMOKE, Protocol, network
from benchmarks.tasks.image_finetuning.runs import Parameters, fine_tune, pretrain
from benchmarks.tasks.networks import state_dicts
from benchmarks.tasks.stamp import stamped, write_stamp
from byline.api.example import Example
from byline.task import Checkpoint, Task
from byline.tasks import TrainedModel, TrainingData, vector_classification

TRAINED_ORDER = 0
"""Order of the run that is attributed: the first of the truth's."""
APART = 2
"""Modules from one linear layer to the next."""


def folder_of(protocol: Protocol) -> Path:
    """Name the folder of everything that a protocol makes."""
    return CACHE / protocol.name


def prepare(protocol: Protocol) -> None:
    """Make the pretrained networks and the runs that are attributed; finished files stay."""
    folder = folder_of(protocol)
    if not stamped(folder, protocol):
        write_stamp(folder, protocol)
    for base in range(protocol.bases):
        path = folder / f"base-{base}.safetensors"
        if not path.exists():
            parameters = pretrain(images_of(protocol).pretraining, 50 + base, protocol)
            save_file({str(place): p for place, p in enumerate(parameters)}, path)
        _keep_run(protocol, base)


def base_parameters(protocol: Protocol, base: int) -> Parameters:
    """Read the parameters that fine-tuning begins with."""
    found = load_file(folder_of(protocol) / f"base-{base}.safetensors")
    return [found[str(place)] for place in range(len(found))]


def run_of(protocol: Protocol, base: int) -> Path:
    """Name the folder of a fine-tuning's checkpoints."""
    return folder_of(protocol) / f"run-{base}"


def _keep_run(protocol: Protocol, base: int) -> None:
    run, data = run_of(protocol, base), images_of(protocol).train
    if (run / "finished").exists():
        return
    run.mkdir(exist_ok=True)
    rows_MS = torch.arange(len(data.x))[None]
    steps = protocol.epochs * -(-rows_MS.shape[1] // protocol.batch)
    after = {max(1, round(part * steps)) for part in protocol.along}

    def watch(step: int, parameters: Parameters, optimizer: torch.optim.Optimizer) -> None:
        if step in after:
            save_file(
                state_dicts([p.detach() for p in parameters], APART)[0], run / f"step-{step:04d}.safetensors"
            )
            save_file(_moments(parameters, optimizer), run / f"moments-{step:04d}.safetensors")

    fine_tune(base_parameters(protocol, base), data, rows_MS, TRAINED_ORDER, protocol, watch)
    (run / "finished").touch()


def _moments(parameters: Parameters, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Adam's moments of the first network, as `Checkpoint.optimizer_state` holds them."""
    return {
        f"{moment}/{name}": values.clone()
        for moment in ("exp_avg", "exp_avg_sq")
        for name, values in state_dicts([optimizer.state[p][moment] for p in parameters], APART)[0].items()
    }


def make_task(protocol: Protocol, base: int = 0, *, reported: bool = True, run: bool = False) -> Task:
    """Declare the Task of one fine-tuned network.

    Args:
        protocol: The case.
        base: Number of the pretrained network.
        reported: Evaluate the reported queries, not the tuning queries.
        run: Attribute all checkpoints of the run, not the last alone.
    """
    found, start = images_of(protocol), base_parameters(protocol, base)
    data = found.train
    examples = [
        Example(id=f"image-{row:03d}", owner=owner, label=str(int(y)))
        for row, (owner, y) in enumerate(zip(found.owners, data.y, strict=True))
    ]
    trained = TrainedModel(
        name=f"{protocol.name}-{base}",
        model=lambda: network(protocol),
        checkpoints=checkpoints(protocol, base) if run else checkpoints(protocol, base)[-1:],
        data=TrainingData.from_arrays(data.x, data.y, examples),
    )

    def train(rows: Sequence[int], seed: int) -> dict[str, Tensor]:
        parameters = fine_tune(start, data, torch.tensor(list(rows))[None], seed, protocol)
        return state_dicts(parameters, APART)[0]

    made = vector_classification(trained, classes=[str(kind) for kind in range(protocol.widths[-1])])
    queries = data.queries[: protocol.queries] if reported else data.queries[protocol.queries :]
    return replace(made, train=train, evaluation_set=queries)


def checkpoints(protocol: Protocol, base: int) -> list[Checkpoint]:
    """List the checkpoints of a run with steps, first learning rate and moments, in the order of steps."""
    return [
        Checkpoint(
            weights=path,
            learning_rate=protocol.learning_rate,
            steps=int(path.stem.removeprefix("step-")),
            optimizer_state=path.with_name(path.name.replace("step", "moments")),
        )
        for path in sorted(run_of(protocol, base).glob("step-*.safetensors"))
    ]


def base_0() -> Task:
    """Declare the last checkpoint of the first network."""
    return make_task(FULL, 0)


def smoke_0() -> Task:
    """Declare `base_0` of the smallest protocol."""
    return make_task(SMOKE, 0)


def base_1() -> Task:
    """Declare the last checkpoint of the second network."""
    return make_task(FULL, 1)


def base_2() -> Task:
    """Declare the last checkpoint of the third network."""
    return make_task(FULL, 2)


def run_0() -> Task:
    """Declare all checkpoints of the first network's run."""
    return make_task(FULL, 0, run=True)


def run_1() -> Task:
    """Declare all checkpoints of the second network's run."""
    return make_task(FULL, 1, run=True)


def run_2() -> Task:
    """Declare all checkpoints of the third network's run."""
    return make_task(FULL, 2, run=True)


def smoke_run_0() -> Task:
    """Declare all checkpoints of a run of the smallest protocol."""
    return make_task(SMOKE, 0, run=True)
