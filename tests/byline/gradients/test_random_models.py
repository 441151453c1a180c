"""Random small models: a collector gives autograd's gradients or refuses, and never differs in silence."""

import pytest
import torch
from torch import Tensor

from tests.byline.gradients.exactness import Subject, Verdict, default_dtype, double, examine, mapped
from tests.byline.gradients.random_models import plan, random_subject
from tests.byline.gradients.random_models.influencing import Influence

SEEDS = range(60)
SOME = [pytest.param(seed, marks=[pytest.mark.slow] * (seed >= 30)) for seed in SEEDS]
"""Every seed; the second half is marked slow."""


@pytest.mark.parametrize("seed", SOME)
def test_gradients_are_exact_or_refused(seed: int) -> None:
    subject, words = random_subject(seed)
    verdict = examine(subject)
    assert verdict.outcome in {"exact", "refused"}, f"{words}: {verdict}"


def test_most_models_are_attributed() -> None:
    """A collector that refused everything would never be wrong."""
    verdicts: list[Verdict] = [examine(random_subject(seed)[0]) for seed in SEEDS[:20]]
    assert sum(verdict.outcome == "exact" for verdict in verdicts) >= 12


def together_and_alone(subject: Subject) -> tuple[Tensor, Tensor]:
    """The loss of every item in one batch, and in batches of one, in double precision."""
    model = subject.model()
    model._apply(double)
    rows = [*range(len(subject.items)), 0]

    def values(chosen: list[int]) -> Tensor:
        return subject.loss(model, mapped(subject.collate([subject.items[row] for row in chosen]), double))

    with torch.no_grad(), default_dtype(torch.float64):
        return values(rows), torch.cat([values([row]) for row in rows])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.filterwarnings("ignore")
def test_a_loss_depends_on_its_own_example_alone(seed: int) -> None:
    """But for the models that are made otherwise: else nothing that this bed says would mean anything."""
    together, alone = together_and_alone(random_subject(seed)[0])
    if Influence not in plan(seed).parts:
        torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-10)
