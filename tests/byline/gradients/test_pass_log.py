"""What passes meet: unused parameters that an example reaches, and batches that were taken apart."""

import torch
from torch import Tensor, nn

from byline.gradients.collector import GradientCollector
from byline.gradients.pass_log import NOTHING_MET, PassLog


def collector() -> GradientCollector:
    made = GradientCollector(nn.ModuleDict({"used": nn.Linear(3, 1), "rare": nn.Linear(3, 1)}).eval())
    made.unused = ("rare.weight", "rare.bias")
    return made


def objective(model: nn.ModuleDict, batch: tuple[Tensor, bool]) -> Tensor:
    x, rare = batch
    return model["used"](x)[:, 0] + (model["rare"](x)[:, 0] if rare else 0)


def test_a_parameter_that_an_example_reaches_is_noted_once() -> None:
    made, x = collector(), torch.ones(1, 3)
    made.collect(objective, (x, False), 1)
    assert made.log.read() == NOTHING_MET
    made.collect(objective, (x, True), 1)
    made.collect(objective, (x, False), 1)
    assert made.log.read().reached == ("rare.bias", "rare.weight")
    assert made.log.read() == NOTHING_MET


def test_a_gradient_of_zeros_reaches_nothing() -> None:
    made = collector()
    made.collect(lambda model, batch: objective(model, batch) * 0, (torch.ones(1, 3), True), 1)
    assert made.log.read().reached == ()


def test_the_first_reason_is_kept() -> None:
    log = PassLog()
    log.note_batch("module 'a' mixes examples")
    log.note_batch("module 'b' mixes examples")
    found = log.read()
    assert (found.taken_apart, found.reason) == (2, "module 'a' mixes examples")
