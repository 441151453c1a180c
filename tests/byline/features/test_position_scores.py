"""Scores taken apart by position, against features of each position's own gradient and against whole scores."""

import pytest
import torch
from torch import Tensor

from byline.errors import InvalidQuery
from byline.features.featurizer import MemberFeaturizer, Side
from byline.features.position_scores import query_positions, refuse_inseparable, training_positions
from byline.features.queries import Featurizer
from byline.gradients.outer_products.tensors import flat_gradients, flat_vectors
from byline.models.member import MemberModel
from byline.recipes import RECIPES, Recipe, recipe
from byline.task import Task
from tests.byline.features import words
from tests.byline.features.conftest import fitted

SMALL = {"projection": {"size": 40}}
CASES = [
    recipe("grad_dot", **SMALL),
    recipe("grad_cos", **SMALL),
    recipe("grad_dot", projection={"kind": "dense", "size": 24}),
    recipe("grad_dot", projection={"kind": "mask", "size": 64}),
    recipe("trak", **SMALL, members={"masks": 2}),
    recipe("logra", projection={"size_in": 4, "size_out": 4}, members={"masks": 2, "queries": "whole"}),
    recipe("grass", projection={"kept": 128, "size": 32}),
    recipe("factgrass", projection={"kept_in": 4, "kept_out": 4, "size": 12}),
    recipe("datainf", projection={"size_in": 4, "size_out": 4}),
    recipe("trackstar", projection={"size_in": 4, "size_out": 4}),
]


@pytest.fixture(scope="module")
def task() -> Task:
    return words.task()


def features_by_position(
    model: MemberModel, own: MemberFeaturizer, item: Tensor, target: str, side: Side
) -> Tensor:
    """Features [T, K] of each position's gradient, one by one in float64, divided by the whole's length."""
    network, task = model.model, model.task
    assert task.positions is not None
    parameters = {n: p for n, p in network.named_parameters() if any(n in b.parameters for b in model.blocks)}
    batch = task.collate([item])
    with model._passes.within():
        losses_1T = task.positions.losses(network, batch)
    leaf = losses_1T.detach().requires_grad_()
    value = task.positions.values[target](leaf, batch).sum() * (1 if target == "loss" else -1)
    (rates_1T,) = torch.autograd.grad(value, leaf)
    grads_TP = []
    for place in range(len(item)):
        if not place:
            grads_TP.append([torch.zeros_like(p) for p in parameters.values()])
            continue
        grads_TP.append(
            torch.autograd.grad(
                losses_1T[0, place] * rates_1T[0, place], parameters.values(), retain_graph=True
            )
        )
    stacked = {n: torch.stack([g[i] for g in grads_TP]) for i, n in enumerate(parameters)}
    gradients = flat_gradients(model.blocks, flat_vectors(model.blocks, stacked))
    power = own._power(side)
    features_TK = own._precondition(own.project(gradients, side), power)
    return features_TK / (features_TK.sum(dim=0).norm() if own.unit_norm else 1.0)


@pytest.fixture(params=CASES, ids=lambda case: f"{case.name}-{case.projection.kind}", scope="module")
def case(request: pytest.FixtureRequest, task: Task) -> Featurizer:
    chosen: Recipe = request.param
    featurizer = Featurizer.open(task, chosen, fitted(task, chosen))
    for model, _ in featurizer.parts:
        model.model.double().requires_grad_(True)
    return featurizer


def test_training_positions_are_scores_of_their_own_gradients(case: Featurizer, task: Task) -> None:
    query_K = torch.randn(case.width, generator=torch.Generator().manual_seed(1))
    for item in (task.train_set[0], task.train_set[5]):
        (found_T,) = training_positions(case, [item], query_K, [1.5])
        expected_T = torch.zeros(len(item), dtype=torch.float64)
        for (model, own), weights_K in zip(case.parts, case.by_member(query_K), strict=True):
            parts_TK = features_by_position(model, own, item, case.recipe.train_signal, Side.TRAIN)
            expected_T += 1.5 * (parts_TK.double() @ weights_K.double())
        scale = float(expected_T.abs().max())
        torch.testing.assert_close(found_T, expected_T, rtol=1e-6, atol=1e-9 * scale)
        assert found_T[0] == 0, "nothing predicts a first word"


def test_query_positions_add_up_to_the_scores_and_are_those_of_their_own_gradients(
    case: Featurizer, task: Task
) -> None:
    item, target = task.train_set[2], case.recipe.query_target
    rows_VK = torch.randn(3, case.width, generator=torch.Generator().manual_seed(2))
    found_VT = query_positions(case, item, target, rows_VK)
    score_V = rows_VK.double() @ case.query([item], target)[0].double()
    scale = float(found_VT.abs().max())
    torch.testing.assert_close(found_VT.sum(dim=1), score_V, rtol=1e-5, atol=1e-6 * scale)  # float32 features
    if case.recipe.members.queries == "whole":
        return  # the reference above runs under the mask
    expected_VT = torch.zeros_like(found_VT)
    for row, row_K in enumerate(rows_VK):
        for (model, own), weights_K in zip(case.parts, case.by_member(row_K), strict=True):
            parts_TK = features_by_position(model, own, item, target, Side.QUERY)
            expected_VT[row] += parts_TK.double() @ weights_K.double()
    torch.testing.assert_close(found_VT, expected_VT, rtol=1e-6, atol=1e-9 * scale)


def test_training_positions_add_up_to_the_training_features_score(case: Featurizer, task: Task) -> None:
    query_K = torch.randn(case.width, generator=torch.Generator().manual_seed(3))
    if case.recipe.row_weight != "none":
        return  # the featurizer's own weight: the index's column is tested with whole answers
    item = task.train_set[4]
    score = float(case.train([item])[0].double() @ query_K.double())
    (found_T,) = training_positions(case, [item], query_K)
    assert float(found_T.sum()) == pytest.approx(score, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", ["if_cg", "if_lissa", "dvemb", "less"])
def test_scores_that_are_no_sum_are_refused(name: str) -> None:
    with pytest.raises(InvalidQuery, match=f"recipe '{name}'"):
        refuse_inseparable(RECIPES[name])
    linear = set(RECIPES) - {"if_cg", "if_lissa", "dvemb", "less"}
    for each in linear:
        refuse_inseparable(RECIPES[each])
