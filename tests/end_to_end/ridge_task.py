"""A convex Task on scikit-learn's digits: multinomial logistic regression with a ridge."""

import functools

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from byline.examples import Example
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
    optimiser = torch.optim.LBFGS(model.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        ridge = sum(p.square().sum() for p in model.parameters())
        loss = F.cross_entropy(model(x), y, reduction="sum") / ROWS + RIDGE / 2 * ridge
        loss.backward()
        return loss

    optimiser.step(closure)
    return model


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
