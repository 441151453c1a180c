"""A convex Task on scikit-learn's digits: multinomial logistic regression with a ridge."""

import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from byline.api.example import Example
from byline.recipes import Recipe
from byline.recording import TrainingRecorder
from byline.task import Checkpoint, Outputs, Task

ROWS = 200
RIDGE = 2e-2


@functools.cache
def data() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training pixels and labels, query pixels and labels; a tenth of the training labels is wrong."""
    pixels, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    x, y = torch.from_numpy(pixels / 16).float()[order], torch.from_numpy(labels)[order]
    train_y = y[:ROWS].clone()
    train_y[::10] = (train_y[::10] + 1) % 10
    return x[:ROWS], train_y, x[ROWS : ROWS + 50], y[ROWS : ROWS + 50]


def trained(x: Tensor, y: Tensor) -> nn.Module:
    """The optimum of the mean loss plus a ridge, by L-BFGS from zero."""
    model = nn.Sequential(nn.Linear(64, 10))
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        ridge = sum(p.square().sum() for p in model.parameters())
        loss = F.cross_entropy(model(x), y, reduction="sum") / ROWS + RIDGE / 2 * ridge
        loss.backward()
        return loss

    optimizer.step(closure)
    return model


def from_zero() -> nn.Module:
    """The network before its first step."""
    model = nn.Sequential(nn.Linear(64, 10))
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return model


def descent(model: nn.Module, kept: Tensor) -> Iterator[tuple[Tensor, float]]:
    """Plain SGD without the ridge, each point's part of every batch times whether it is kept.

    Yields:
        Rows and learning rate of each step, before it is taken.
    """
    x, y, _, _ = data()
    generator = torch.Generator().manual_seed(0)
    for step in range(80):
        rows, rate = torch.randperm(ROWS, generator=generator)[:20], 0.5 / (1 + 0.02 * step)
        model.zero_grad()
        losses = F.cross_entropy(model(x[rows]), y[rows], reduction="none")
        ((losses * kept[rows]).sum() / len(rows)).backward()
        yield rows, rate
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.sub_(rate * parameter.grad)


def descended(kept: Tensor) -> nn.Module:
    """The network after its last step."""
    model = from_zero()
    for _ in descent(model, kept):
        pass
    return model


def record(folder: Path, chosen: Recipe) -> str:
    """Record the run, and write a Task's file beside it; returns the file's reference."""
    model = from_zero()
    with TrainingRecorder(task(), chosen, model, folder / "steps") as recorder:
        for rows, rate in descent(model, torch.ones(ROWS)):
            recorder.step(rows, rate)
    save_file(model.state_dict(), folder / "weights.safetensors")
    (folder / "run_task.py").write_text(
        "from pathlib import Path\n\nfrom tests.end_to_end import ridge_task\n\n\n"
        "def task():\n    return ridge_task.recorded(Path(__file__).parent)\n"
    )
    return f"{folder / 'run_task.py'}:task"


def recorded(folder: Path) -> Task:
    """The Task with the recorded run's weights."""
    run = Checkpoint(weights=folder / "weights.safetensors", recording=folder / "steps")
    return replace(task(), checkpoints=[run])


def logit(model: nn.Module, batch: list[Tensor]) -> Tensor:
    return model(batch[0]).gather(1, batch[1][:, None])[:, 0]


def task() -> Task:
    """Declare it."""
    x, y, _, _ = data()
    return Task(
        name="ridge",
        model=lambda: nn.Sequential(nn.Linear(64, 10)),
        checkpoints=[
            Checkpoint(
                weights={n: p.detach() for n, p in trained(x, y).state_dict().items()}, learning_rate=0.1
            )
        ],
        train_set=list(zip(x, y, strict=True)),
        describe=lambda row: Example(id=f"digit-{row}", label=str(int(y[row]))),
        loss=lambda model, batch: F.cross_entropy(model(batch[0]), batch[1], reduction="none"),
        targets={"margin": margin, "logit": logit},
        outputs=Outputs(
            compute=lambda model, batch: model(batch[0]),
            loss=lambda logits, batch: F.cross_entropy(logits, batch[1], reduction="none"),
            relabel=lambda batch, labels: [batch[0], labels],
        ),
    )


def margin(model: nn.Module, batch: list[Tensor]) -> Tensor:
    """log p/(1-p) of the label."""
    logits = model(batch[0])
    label = batch[1][:, None]
    others = logits.scatter(1, label, float("-inf")).logsumexp(dim=1)
    return logits.gather(1, label)[:, 0] - others
