"""Refined queries: equal to a dense float64 solution, whatever the index is made of, and refused where they mean nothing."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import byline
from byline.api.answer import Answer
from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline.curvature.kronecker_inverse import mean_eigenvalue
from byline.errors import InvalidQuery, StaleIndex
from byline.features.featurizer import Side
from byline.features.refining import TOLERANCE, refuse_unrefinable
from byline.gradients.outer_products.tensors import flat_gradients, parameter_tensors
from byline.index.manifest import StorageOptions
from byline.members import Member
from byline.models.member import MemberModel
from byline.models.run_geometry import ADAM_DAMPING, run_geometry
from byline.progress import Step, report_to
from byline.recipes import Recipe, recipe
from byline.task import Checkpoint, LayerSelection, Task
from byline_indexer.build.index import BuildOptions
from byline_indexer.scores import score_items
from tests.indexer import tiny_task

QUERY = {"x": [0.1, -0.4, 1.2, 0.3, -0.8, 0.5], "label": 1}
OTHER = {"x": [-0.6, 0.9, 0.2, -1.3, 0.4, 0.0], "label": 2}
ALL = {"size": 83}
"""All parameters of the tiny model."""
WHOLE = [(torch.tensor(each["x"]), each["label"]) for each in (QUERY, OTHER)]


def declared(steps: int | None = 200, **changes: Any) -> Task:
    """The tiny Task, with its runs declared."""
    task = tiny_task.task()
    checkpoints = [replace(each, steps=steps) for each in task.checkpoints]
    return replace(task, checkpoints=checkpoints, **changes)


def built(folder: Path, chosen: Recipe, task: Task) -> Attributor:
    options = BuildOptions(storage=StorageOptions(dtype="fp32"))
    return byline.build(task, chosen, folder / "index", options, progress=False)


def members(opened: Attributor, task: Task) -> list[tuple[Member, MemberModel]]:
    return [(m, MemberModel.load(task, opened.index.recipe, m)) for m in opened.members]


def gauss_newton(model: MemberModel, task: Task) -> Tensor:
    """The mean Gauss-Newton matrix, written out from each point's own Jacobian: float64 [P, P]."""
    total = 0.0
    for item in task.train_set:
        batch = task.collate([item])
        parameters = dict(model.model.named_parameters())
        for parameter in parameters.values():
            parameter.requires_grad_()
        with torch.enable_grad(), model._passes.within():
            logits = model.model(batch[0])[0]
        rows = []
        for logit in logits:
            grads = torch.autograd.grad(logit, list(parameters.values()), retain_graph=True)
            named = {name: grad[None].double() for name, grad in zip(parameters, grads, strict=True)}
            rows.append(torch.cat([block.matrix(named).flatten() for block in model.blocks]))
        jacobian_CP, p_C = torch.stack(rows), logits.detach().double().softmax(0)
        total = total + jacobian_CP.T @ (torch.diag(p_C) - torch.outer(p_C, p_C)) @ jacobian_CP
    return total / len(task.train_set)


def dense_scores(opened: Attributor, task: Task, damping: float | None = None) -> np.ndarray:
    """Mean over the members of (G + lam)^-1 q . g, lam = 1 / (eta T): float64 [Q, R]."""
    found = []
    for member, model in members(opened, task):
        checkpoint = task.checkpoints[member.checkpoint]
        matrix = gauss_newton(model, task)
        lam = damping or 1 / (checkpoint.learning_rate * checkpoint.steps)
        queries = model.gradients(WHOLE).dense().double()
        points = model.gradients([task.train_set[row] for row in range(90)]).dense().double()
        solved = torch.linalg.solve(matrix + lam * torch.eye(len(matrix)).double(), queries.T)
        found.append((points @ solved).T)
    return torch.stack(found).mean(dim=0).numpy()


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def assert_close(found: np.ndarray, expected: np.ndarray, tolerance: float = 2e-3) -> None:
    np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"members": {"masks": 2, "checkpoints": [0]}},
        {"pca": {"size": 83}, "members": {"checkpoints": [0]}},
        {"curvature": {"kind": "kfac"}},
        {"curvature": {"labels": "exact"}},
    ],
    ids=["checkpoints", "masks", "pca", "kfac", "exact"],
)
def test_scores_equal_a_dense_solution_where_all_coordinates_are_kept(tmp_path: Path, changes: Any) -> None:
    task = declared()
    opened = built(tmp_path, recipe("ekfac", **({"projection": ALL} | changes)), task)
    expected = dense_scores(opened, task)
    found = opened.scores([QUERY, OTHER], refine=64)
    assert_close(found, expected, 1e-2 if "pca" in changes else 2e-3)  # directions are rounded to a byte
    plain = opened.scores([QUERY, OTHER])
    assert correlation(plain[0], expected[0]) < 0.999
    one, few = (opened.scores([QUERY, OTHER], refine=steps) for steps in (1, 6))
    worst = [min(correlation(s[q], expected[q]) for q in (0, 1)) for s in (plain, one, few)]
    assert worst[0] < worst[1] < worst[2]
    assert worst[2] > 0.99


def test_a_truncated_index_takes_the_solutions_kept_coordinates(tmp_path: Path) -> None:
    task = declared()
    opened = built(tmp_path, recipe("ekfac", projection={"size": 20}, members={"checkpoints": [0]}), task)
    ((member, model),) = members(opened, task)
    featurizer = opened._forms.models()._featurizers[member]
    matrix, lam = gauss_newton(model, task), 1 / (0.1 * 200)
    solved = torch.linalg.solve(
        matrix + lam * torch.eye(83).double(), model.gradients(WHOLE).dense().double().T
    )
    points = model.gradients([task.train_set[row] for row in range(90)])
    kept_QK = featurizer._projector(flat_gradients(model.blocks, solved.T))
    expected = kept_QK @ featurizer._projector(points).double().T
    assert_close(opened.scores([QUERY, OTHER], refine=64), expected.numpy())


class Twice(nn.Module):
    """One layer that is called twice: a parameter with two uses."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x_NI: Tensor) -> Tensor:
        found: Tensor = self.fc(self.fc(x_NI).tanh())[:, :3]
        return found


def test_a_weight_with_several_uses(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(4)
    weights = {"fc.weight": torch.randn(6, 6, generator=generator) * 0.7, "fc.bias": torch.zeros(6)}
    task = declared(model=Twice, layers=LayerSelection(), representation=None)
    task = replace(task, checkpoints=[Checkpoint(weights=weights, learning_rate=0.1, steps=200)])
    opened = built(tmp_path, recipe("ekfac"), task)
    assert_close(opened.scores([QUERY, OTHER], refine=64), dense_scores(opened, task))


def test_rows_without_a_curvature(tmp_path: Path) -> None:
    task = declared()
    opened = built(tmp_path, recipe("grad_dot", projection={"kind": "identity"}), task)
    assert_close(opened.scores([QUERY, OTHER], refine=64), dense_scores(opened, task))


@pytest.mark.parametrize("scale", ["none", "second_moment"])
@pytest.mark.parametrize("name", ["grad_dot", "ekfac"])
def test_a_run_of_adam_is_solved_in_its_own_metric(tmp_path: Path, name: str, scale: str) -> None:
    task = declared(5)
    states = [replace(c, optimizer_state=tiny_task.moments(n)) for n, c in enumerate(task.checkpoints)]
    task = replace(task, checkpoints=states[:1])
    kept = {"kind": "identity"} if name == "grad_dot" else ALL
    opened = built(tmp_path, recipe(name, projection=kept, scale={"kind": scale}), task)
    ((member, model),) = members(opened, task)
    run = run_geometry(task, member, model.blocks, scaled=False)
    assert run is not None
    assert run.metric_P is not None
    metric_P = run.metric_P
    assert metric_P.std() > 0.1 * metric_P.mean()
    matrix = gauss_newton(model, task) * metric_P[:, None] * metric_P[None]
    queries = model.gradients(WHOLE).dense().double() * metric_P
    points = model.gradients([task.train_set[row] for row in range(90)]).dense().double() * metric_P
    damped = matrix + torch.eye(83).double() * ADAM_DAMPING / (0.1 * 5)
    assert_close(
        opened.scores([QUERY, OTHER], refine=64), (queries @ torch.linalg.solve(damped, points.T)).numpy()
    )
    # One step from zero is along the gradient in this metric.
    one, along = opened.scores([QUERY, OTHER], refine=1), (queries @ points.T).numpy()
    assert min(correlation(one[q], along[q]) for q in (0, 1)) > 0.9999


def test_a_scale_of_a_run_that_is_not_declared_is_part_of_the_parameters_that_are_solved_for(
    tmp_path: Path,
) -> None:
    task = declared(None)
    states = [replace(c, optimizer_state=tiny_task.moments(n)) for n, c in enumerate(task.checkpoints)]
    task = replace(task, checkpoints=states[:1])
    opened = built(
        tmp_path, recipe("grad_dot", projection={"kind": "identity"}, scale={"kind": "second_moment"}), task
    )
    ((member, model),) = members(opened, task)
    models = opened._forms.models()
    scale_P = models._featurizers[member].scale_vectors(torch.ones(1, 83))[0].double()
    assert scale_P.std() > 0.1
    matrix = gauss_newton(model, task) * scale_P[:, None] * scale_P[None]
    queries = model.gradients(WHOLE).dense().double() * scale_P
    points = model.gradients([task.train_set[row] for row in range(90)]).dense().double() * scale_P
    damped = matrix + torch.eye(83).double() * models._refiner(member).dampings[0]
    expected = queries @ torch.linalg.solve(damped, points.T)
    assert_close(opened.scores([QUERY, OTHER], refine=64), expected.numpy())


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Attributor:
    """Two checkpoints whose runs are not declared."""
    chosen = recipe("ekfac", projection={"size": 40}, curvature={"damping": 0.5})
    return built(tmp_path_factory.mktemp("plain"), chosen, declared(None))


def test_no_step_is_the_indexs_own_solution_under_the_same_damping(opened: Attributor) -> None:
    models = opened._forms.models()
    for member in models.members:
        gradients_QP = models._models[member].gradients(WHOLE).dense()
        refiner, featurizer = models._refiner(member), models._featurizers[member]
        ratio = refiner.mean / mean_eigenvalue(refiner._spectra)
        refiner.dampings = [0.5 * ratio * each.mean for each in refiner._spectra]  # the recipe's, by block
        x_QP, report = refiner.solve(gradients_QP, 0)
        del refiner.dampings, refiner._added
        made_QK = featurizer.solution_feature(x_QP.float())
        plain_QK = featurizer.feature(
            featurizer.project(models._models[member].gradients(WHOLE), Side.QUERY), Side.QUERY
        )
        torch.testing.assert_close(made_QK * ratio, plain_QK, rtol=1e-4, atol=1e-5)
        assert report.steps_Q.tolist() == [0, 0]


def test_the_answer_says_how_far_it_was_solved(opened: Attributor) -> None:
    task = declared(None)
    answer = opened.attribute(QUERY, refine=3, shares=True)
    report = answer.refined
    assert report is not None
    assert (report.steps, report.sample) == (3, 90)
    means, residuals = [], []
    for member, model in members(opened, task):
        matrix = gauss_newton(model, task)
        refiner = opened._forms.models()._refiner(member)
        means.append(float(matrix.diagonal().mean()))
        assert refiner.mean == pytest.approx(means[-1], rel=0.3), "the trace of few probes"
        q_1P = model.gradients(WHOLE[:1]).dense().double()
        x_1P, _ = refiner.solve(q_1P, 3)
        sizes = torch.tensor([56, 27])
        own = torch.tensor(refiner.dampings).double().repeat_interleave(sizes)
        damped = matrix + torch.diag(own)
        residuals.append(float((q_1P - x_1P @ damped).norm() / q_1P.norm()))
    assert report.residual == pytest.approx(max(residuals), rel=1e-3)
    assert report.damping == pytest.approx(30 * np.mean(means), rel=0.3)
    solved = opened.attribute(QUERY, refine=64).refined
    assert solved is not None
    assert solved.residual <= TOLERANCE
    assert solved.steps < 64
    assert opened.attribute(QUERY).refined is None


def test_a_batch_equals_single_queries(opened: Attributor) -> None:
    together = opened.scores([QUERY, OTHER], refine=4)
    for place, query in enumerate((QUERY, OTHER)):
        np.testing.assert_allclose(together[place], opened.scores([query], refine=4)[0], rtol=1e-4, atol=1e-5)
    requests = [
        AttributionRequest(query=QUERY, refine=4, k=90, direction="proponents"),
        AttributionRequest(query=OTHER, k=90),
        AttributionRequest(query=QUERY, refine=2, k=90),
    ]
    answers = opened.answer([opened.check(each) for each in requests])
    expected = [opened.scores([QUERY], refine=4), opened.scores([OTHER]), opened.scores([QUERY], refine=2)]
    for answer, scores in zip(answers, expected, strict=True):
        assert isinstance(answer, Answer)
        found = {each.row: each.score for each in answer.proponents or ()}
        assert_close(np.array([found[row] for row in range(90)]), scores[0], 1e-4)


def test_every_form_of_a_query(opened: Attributor) -> None:
    expected = opened.attribute(QUERY, refine=4, k=90).proponents
    gradient: dict[str, Tensor] = {}
    for member, model in opened._forms.models()._models.items():
        named = parameter_tensors(model.blocks, model.gradients(WHOLE[:1]).dense())
        gradient |= {f"{member.name}/{name}": tensor[0] for name, tensor in named.items()}
    by_gradient = opened.attribute(AttributionRequest(gradient=gradient, refine=4, k=90)).proponents
    of_items = opened.item_scores(WHOLE[:1], refine=4)[0]
    assert expected is not None
    assert by_gradient is not None
    for one, other in zip(expected, by_gradient, strict=True):
        assert one.score == pytest.approx(other.score, rel=1e-3, abs=1e-4)
        assert one.score == pytest.approx(of_items[one.row], rel=1e-3, abs=1e-4)
    whole = opened.attribute(AttributionRequest(query_set=[QUERY, OTHER], refine=64, k=90)).proponents
    mean = opened.scores([QUERY, OTHER], refine=64).mean(axis=0)
    assert whole is not None
    assert_close(np.array([each.score for each in whole]), mean[[each.row for each in whole]])


def test_a_refined_query_costs_its_passes(opened: Attributor) -> None:
    assert opened.check(AttributionRequest(query=QUERY)).cost == 1
    assert opened.check(AttributionRequest(query=QUERY, refine=8)).cost == 1 + 9 * 2


def test_steps_are_told_as_they_are_taken(opened: Attributor) -> None:
    seen: list[Step] = []
    with report_to(seen.append):
        opened.attribute(QUERY, refine=5)
    solving = [step for step in seen if step.stage == "solve"]
    assert {(step.done, step.total) for step in solving} >= {(done, 6) for done in range(5)}
    assert all(
        one.fraction <= other.fraction for one, other in pairwise(seen[:-3]) if one.stage == other.stage
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("grad_cos", "unit length"),
        ("trackstar", "unit length"),
        ("less", "unit length"),
        ("datainf", "its own curvature 'datainf'"),
        ("dvemb", "its own curvature 'trajectory'"),
        ("logra", "its own curvature 'fisher'"),
        ("if_exact", "its own curvature 'explicit'"),
        ("if_lissa", "solves its queries anyway"),
    ],
)
def test_recipes_without_a_map_say_why_and_what_to_do(name: str, reason: str) -> None:
    with pytest.raises(InvalidQuery, match=reason) as caught:
        refuse_unrefinable(recipe(name))
    assert "leave refine out, or build with 'ekfac'" in str(caught.value)


@pytest.mark.parametrize("name", ["ekfac", "kfac", "ekfac_margin", "relatif", "grad_dot", "tracin"])
def test_recipes_with_a_map_are_refined(name: str) -> None:
    refuse_unrefinable(recipe(name))


def test_refused_before_anything_is_computed(opened: Attributor, tmp_path: Path) -> None:
    for wrong, message in (
        ({"feature": [0.0] * 80}, "a finished feature has no gradient"),
        ({"query": QUERY, "baseline": "bm25"}, "expected refine without a baseline"),
        ({"query": QUERY, "refine": 65}, "refine: expected a number of at most 64"),
        ({"query": QUERY, "refine": -1}, "refine: expected a number of at least 0"),
    ):
        with pytest.raises(InvalidQuery, match=message):
            opened.check(AttributionRequest(**({"refine": 2} | wrong)))
    with pytest.raises(InvalidQuery, match="at most 64"):
        opened.item_scores(WHOLE, refine=65)
    bare = built(tmp_path, recipe("grad_cos"), declared())
    with pytest.raises(InvalidQuery, match="'grad_cos' stores rows of unit length"):
        bare.check(AttributionRequest(query=QUERY, refine=2))
    with pytest.raises(InvalidQuery, match="'grad_cos' stores rows of unit length"):
        bare.item_scores(WHOLE, refine=2)


def test_the_task_is_needed_with_its_outputs_and_its_points(opened: Attributor, tmp_path: Path) -> None:
    without = Attributor.open_without_task(opened.index.path)
    zeros = {name: torch.zeros(shape) for name, shape in without.expected_gradients().items()}
    with pytest.raises(InvalidQuery, match="opened without its Task"):
        without.check(AttributionRequest(gradient=zeros, refine=2))
    silent = built(tmp_path / "silent", recipe("ekfac"), declared(outputs=None))
    with pytest.raises(InvalidQuery, match=r"refine needs Task\.outputs"):
        silent.check(AttributionRequest(query=QUERY, refine=2))
    task = declared()
    fewer = Attributor(
        opened.index,
        opened._rows.searcher,
        task=replace(task, train_set=[task.train_set[row] for row in range(80)]),
        featurizer=opened._forms.models(),
    )
    fewer.check(AttributionRequest(query=QUERY))
    with pytest.raises(StaleIndex, match="80 training points"):
        fewer.check(AttributionRequest(query=QUERY, refine=2))
    items = [task.train_set[3]]
    assert fewer.item_scores(items).shape == (1, opened.index.rows)
    for ask in (fewer.item_scores, fewer.scores):
        with pytest.raises(StaleIndex, match="80 training points"):
            ask(items if ask == fewer.item_scores else [QUERY], refine=2)
    with pytest.raises(StaleIndex, match="80 training points"):
        score_items(opened.index, fewer.task, items, "loss", refine=2)
