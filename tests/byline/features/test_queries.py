"""Features: members, both ways to ask, targets, query sets, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from byline.errors import InvalidQuery, InvalidTask
from byline.features.featurizer import MemberFeaturizer, Side, combine
from byline.features.fitting import fit
from byline.features.queries import Featurizer
from byline.gradients.collector import GradientCollector
from byline.gradients.outer_products.blocks import Block
from byline.loading.task_file import load_task
from byline.models.device import Compute
from byline.models.member import MemberModel
from byline.models.network import probed_items
from byline.recipes import Recipe, recipe
from byline.task import Task
from byline.types import State

TINY = Path(__file__).parents[2] / "indexer" / "tiny_task.py"
RECIPE = recipe("ekfac", projection={"size": 40}, members={"masks": 2})


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task(f"{TINY}:task").task


@pytest.fixture(scope="module")
def featurizer(task: Task) -> Featurizer:
    return Featurizer.open(task, RECIPE, fitted(task, RECIPE))


def blocks_of(task: Task) -> tuple[Block, ...]:
    return GradientCollector(task.model().eval(), task.layers).blocks


def fitted(task: Task, chosen: Recipe) -> dict[str, State]:
    """Fit every member on the whole training set, as one batch."""
    items = [task.train_set[row] for row in range(len(task.train_set))]
    states = {}
    for member in chosen.members.members(len(task.checkpoints)):
        model = MemberModel.load(task, chosen, member)
        states[member.name] = fit(chosen, model.blocks, [model.gradients(items)])
    return states


def test_an_inner_product_is_the_mean_of_the_members_scores(task: Task, featurizer: Featurizer) -> None:
    items = [task.train_set[row] for row in range(4)]
    whole = featurizer.query(items)
    states = fitted(task, RECIPE)
    scores = []
    for member in featurizer.members:
        model = MemberModel.load(task, RECIPE, member)
        one = MemberFeaturizer(RECIPE, model.blocks, states[member.name])
        feature = one.feature(one.project(model.gradients(items), Side.QUERY), Side.QUERY)
        scores.append(feature @ feature.T)
    torch.testing.assert_close(whole @ whole.T, torch.stack(scores).mean(dim=0))


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
        featurizer.from_gradients(tensors), featurizer.query([item]), rtol=1e-4, atol=1e-5
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
        featurizer.from_gradients(tensors)


def test_combining() -> None:
    parts = [torch.ones(2, 3), torch.full((2, 1), 2.0)]
    torch.testing.assert_close(combine(parts, [0.5, 0.5]) * 2**0.5, torch.tensor([[1.0, 1, 1, 2]] * 2))


def test_bfloat16_is_close(task: Task) -> None:
    chosen = recipe("grad_dot", projection={"kind": "identity"})
    member = chosen.members.members(2)[0]
    items = [task.train_set[row] for row in range(5)]
    exact = MemberModel.load(task, chosen, member).gradients(items).dense()
    rough = MemberModel.load(task, chosen, member, Compute(precision="bfloat16")).gradients(items).dense()
    assert 0 < float((exact - rough.float()).norm() / exact.norm()) < 0.03


def test_the_gradient_check_looks_at_points_with_a_loss(task: Task) -> None:
    model = task.model().eval().requires_grad_(requires_grad=False)
    losses = [float(task.loss(model, task.collate([item]))) for item in probed_items(task, model, Compute())]
    every = [
        float(task.loss(model, task.collate([task.train_set[row]]))) for row in range(len(task.train_set))
    ]
    assert min(losses) > sorted(every)[len(every) // 2]


def test_a_broken_target_is_found_when_the_model_is_loaded(task: Task) -> None:
    broken = replace(task, targets={"wide": lambda model, batch: model(batch[0])})
    with pytest.raises(InvalidTask, match="one value an example"):
        MemberModel.load(broken, RECIPE, RECIPE.members.members(2)[0])
