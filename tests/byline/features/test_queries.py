"""Features: members, both ways to ask, targets, query sets, and what is refused."""

import pytest
import torch

from byline.errors import InvalidQuery, InvalidTask
from byline.features.fitting import fit
from byline.features.queries import Featurizer
from byline.gradients.collector import GradientCollector
from byline.gradients.outer_products.blocks import Block
from byline.models.member import MemberModel
from byline.recipes import recipe
from byline.task import Task
from byline.types import State


def blocks_of(task: Task) -> tuple[Block, ...]:
    return GradientCollector(task.model().eval(), task.layers).blocks


def test_members_differ(featurizer: Featurizer, task: Task) -> None:
    stretches = featurizer.query([task.train_set[0]]).split(40, dim=1)
    assert len(stretches) == 4
    assert not torch.allclose(stretches[0], stretches[1])


@pytest.mark.parametrize("members", [{}, {"masks": 2, "queries": "whole"}])
def test_gradients_from_elsewhere_give_the_same_feature(task: Task, members: dict) -> None:
    chosen = recipe("logra", projection={"size_in": 4, "size_out": 4}, members=members)
    states: dict[str, State] = {}
    items = [task.train_set[row] for row in range(50)]
    for member in chosen.members.members(2):
        model = MemberModel.load(task, chosen, member)
        states[member.name] = fit(chosen, model.blocks, [model.gradients(items)])
    featurizer = Featurizer.open(task, chosen, states)
    item = task.train_set[60]
    tensors = {}
    for member in featurizer.members:
        network = MemberModel.load(task, chosen, member.whole).model.requires_grad_()
        loss = task.loss(network, task.collate([item])).sum()
        for name, grad in zip(
            dict(network.named_parameters()),
            torch.autograd.grad(loss, list(network.parameters())),
            strict=True,
        ):
            tensors[f"{member.whole.name}/{name}"] = grad
    assert {n: tuple(t.shape) for n, t in tensors.items()} == featurizer.expected_gradients()
    torch.testing.assert_close(
        featurizer.features_of(tensors).whole_QK, featurizer.query([item]), rtol=1e-4, atol=1e-5
    )


def test_the_mean_over_a_query_set(task: Task, featurizer: Featurizer) -> None:
    items = [task.train_set[row] for row in range(3)]
    mean = featurizer.query(items, mean=True)
    torch.testing.assert_close(mean, featurizer.query(items).mean(dim=0, keepdim=True), rtol=1e-4, atol=1e-6)


def test_a_target_is_raised_and_the_loss_is_lowered(task: Task, featurizer: Featurizer) -> None:
    item = [task.train_set[0]]
    loss, margin = featurizer.query(item, "loss"), featurizer.query(item, "margin")
    # The loss falls as the margin rises: both mean "this helped the label".
    assert torch.nn.functional.cosine_similarity(loss, margin).item() > 0.9
    with pytest.raises(InvalidTask, match="loss, logit, margin"):
        featurizer.query(item, "absent")


@pytest.mark.parametrize("spoil", ["missing", "unknown", "shape", "nan", "integers", "float8", "complex"])
def test_wrong_gradients_are_refused(featurizer: Featurizer, spoil: str) -> None:
    tensors = {name: torch.zeros(shape) for name, shape in featurizer.expected_gradients().items()}
    first = next(iter(tensors))
    match spoil:
        case "missing":
            del tensors[first]
        case "unknown":
            tensors["c9/else"] = torch.zeros(1)
        case "shape":
            tensors[first] = torch.zeros(3, 3)
        case "nan":
            tensors[first] = torch.full_like(tensors[first], float("nan"))
        case "float8":
            tensors[first] = tensors[first].to(torch.float8_e4m3fn)
        case "complex":
            tensors[first] = tensors[first].to(torch.complex64)
        case _:
            tensors[first] = tensors[first].long()
    with pytest.raises(InvalidQuery):
        featurizer.features_of(tensors)
