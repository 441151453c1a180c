"""For every recipe: inner products from a built index equal the dense float64 formula.

The whole path runs (build file, stages, index, search); the formula is computed from one-by-one autograd in
float64, with the inverse written out. Tolerance: 2e-4 of the largest score, from float32 gradients and
eigenvectors.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.func import functional_call

from byline.attribution.opening import load_index_task
from byline.curvature.iterative import PROBES
from byline.curvature.labels import sampled_labels
from byline.features.queries import Featurizer
from byline.features.sampling import fit_sample
from byline.gradients.masks.mask import DropoutMask
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.tensors import dense_gradients
from byline.index.index import AttributionIndex
from byline.loading.task_file import load_task
from byline.members import Member, member_shares
from byline.models.checkpoints import load_checkpoint
from byline.models.member import MemberModel
from byline.models.optimizer_state import load_optimizer_state
from byline.randomness import random_signs, stream_key
from byline.recipes import RECIPES, Recipe, recipe
from byline.search.searcher import Searcher
from byline.task import Checkpoint, Task
from byline_indexer.build.build import build
from byline_indexer.config import BuildConfig
from tests.byline.features.test_queries import blocks_of
from tests.indexer import recorded
from tests.reference import reference

TASK = Path(__file__).parents[1] / "indexer" / "tiny_task.py"
TOLERANCE = 2e-4
ROTATED = 2e-2
"""Tolerance of a recipe with a PCA, whose directions have one byte a number."""
CASES = {
    "grad_dot": {"projection": {"size": 24}},
    "grad_cos": {"projection": {"kind": "identity"}},
    "tracin": {"projection": {"size": 24}},
    "rps": {},
    "trak": {"projection": {"kind": "dense", "size": 24}, "curvature": {"damping": 0.3}},
    "d_trak": {"projection": {"kind": "dense", "size": 24}, "curvature": {"damping": 0.3}},
    "logra": {"projection": {"size_in": 4, "size_out": 4}},
    "grass": {"projection": {"kept": 60, "size": 24}},
    "factgrass": {"projection": {"kept_in": 5, "kept_out": 4, "size": 12}},
    "kfac": {"projection": {"size": 4096}},
    "ekfac": {"projection": {"size": 4096}, "members": {"masks": 2}},
    "ekfac_pca": {"members": {"masks": 2}},
    "ekfac_adam": {"scale": {"sample": None}},
    "ekfac_margin": {"projection": {"size": 4096}},
    "if_exact": {"curvature": {"damping": 0.3}},
    "datainf": {"projection": {"size_in": 4, "size_out": 4}},
    "dvemb": {"projection": {"size_in": 4, "size_out": 4}},
    "if_cg": {"projection": {"size": 4096}, "curvature": {"tolerance": 1e-7}},
    "if_lissa": {"projection": {"size": 24}, "curvature": {"batch": 90, "depth": 5000}},
    # As many steps as parameters (83): the whole positive part of the spectrum that is not rounding.
    "arnoldi": {"projection": {"size": 83}, "curvature": {"steps": 83, "damping": 0.3}},
    "rif": {"projection": {"size_in": 4, "size_out": 4}, "curvature": {"labels": "exact"}},
    "relatif": {"projection": {"size": 4096}},
    "trackstar": {"projection": {"size_in": 4, "size_out": 4}},
    "less": {"projection": {"size": 24}},
}
OTHERS = [
    ("trak", {"projection": {"kind": "dense", "size": 24, "entries": "gaussian"}}),
    ("grad_dot", {"projection": {"kind": "mask", "size": 24}}),
    ("logra", {"projection": {"size_in": 4, "size_out": 4}, "curvature": {"labels": "exact"}}),
    ("logra", {"projection": {"size_in": 4, "size_out": 4}, "curvature": {"labels": "sampled"}}),
    ("if_exact", {"curvature": {"labels": "sampled"}, "members": {"masks": 2}}),
    ("kfac", {"projection": {"size": 4096}, "members": {"masks": 2, "mask_rate": 0.4, "queries": "whole"}}),
    ("relatif", {"projection": {"size": 4096}, "row_weight": "relative_theta"}),
    ("rif", {"projection": {"size_in": 4, "size_out": 4}, "curvature": {"labels": "sampled"}}),
    ("rif", {"projection": {"size_in": 4, "size_out": 4}, "curvature": {"labels": "given"}}),
    ("datainf", {"projection": {"kind": "identity"}, "sides": "two_sided"}),
    ("dvemb", {"projection": {"kind": "identity"}, "curvature": {"blocks": "joint"}}),
    (
        "dvemb",
        {"projection": {"size_in": 4, "size_out": 4}, "scale": {"kind": "second_moment", "power": 0.25}},
    ),
    (
        "dvemb",
        {
            "projection": {"kind": "identity"},
            "scale": {"kind": "second_moment", "power": 0.25, "factored": False, "floor": 0.01},
            "curvature": {"blocks": "joint"},
        },
    ),
    ("if_cg", {"curvature": {"tolerance": 1e-7, "sample": 40}, "members": {"masks": 2}}),
    ("if_cg", {"projection": {"kind": "sjlt", "size": 24}, "curvature": {"tolerance": 1e-7}}),
    ("if_cg", {"curvature": {"matrix": "hessian", "damping": 50.0, "tolerance": 1e-7}}),
    ("trackstar", {"projection": {"kind": "identity"}, "unit_norm": False, "scale": {"floor": 0.1}}),
    ("trackstar", {"projection": {"kind": "grass", "kept": 60, "size": 24}, "scale": {"factored": False}}),
    ("ekfac", {"projection": {"size": 4096}, "scale": {"kind": "second_moment"}, "members": {"masks": 2}}),
    (
        "ekfac",
        {"projection": {"size": 4096}, "scale": {"kind": "second_moment", "factored": False, "power": 0.25}},
    ),
    ("less", {"projection": {"kind": "dense", "size": 24}, "scale": {"beta1": 0}, "members": {"masks": 2}}),
    ("less", {"projection": {"kind": "factorised", "size_in": 4, "size_out": 4}, "unit_norm": False}),
    ("if_exact", {"curvature": {"matrix": "hessian", "damping": 0.3, "sample": 60}, "sides": "one_sided"}),
    ("if_exact", {"curvature": {"matrix": "hessian"}, "sides": "one_sided", "members": {"masks": 2}}),
    ("arnoldi", {"projection": {"size": 8}, "curvature": {"steps": 50, "matrix": "ggn", "sample": 50}}),
    ("arnoldi", {"projection": {"size": 5}, "members": {"masks": 1, "checkpoints": [1]}}),
]
TRAINED = [
    ("trackstar", {"projection": {"size_in": 4, "size_out": 4}}),
    ("trackstar", {"projection": {"kind": "mask", "size": 24}, "scale": {"factored": False}}),
    ("trackstar", {"projection": {"size_in": 4, "size_out": 4}, "curvature": {"evaluation": 0.6}}),
    ("logra", {"projection": {"size_in": 4, "size_out": 4}, "curvature": {"evaluation": 0.3}}),
    ("ekfac", {"projection": {"size": 4096}, "scale": {"kind": "second_moment", "power": 0.25}}),
    ("ekfac", {"projection": {"size": 4096}, "scale": {"kind": "second_moment", "factored": False}}),
    ("kfac", {"projection": {"size": 4096}, "scale": {"kind": "second_moment"}, "unit_norm": False}),
    ("kfac", {"projection": {"size": 4096}, "curvature": {"filter": "finite_run"}}),
    (
        "ekfac",
        {
            "projection": {"size": 4096},
            "scale": {"kind": "second_moment", "power": 0.25},
            "curvature": {"filter": "finite_run", "time": 0.01},
        },
    ),
    ("less", {"projection": {"size": 24}}),
    ("less", {"projection": {"kind": "mask", "size": 24}, "scale": {"epsilon": 1e-3, "beta2": 0.9}}),
]


SAMPLE = 30
"""Of 90 rows: eigenvectors from these, eigenvalues from all."""


def test_every_recipe_has_a_case() -> None:
    assert set(CASES) == set(RECIPES)


def test_eigenvalues_are_measured_on_all_rows_where_eigenvectors_are_of_a_sample(tmp_path: Path) -> None:
    changes = {"projection": {"size": 4096}, "curvature": {"sample": SAMPLE}, "members": {"checkpoints": [0]}}
    index = built(tmp_path, "ekfac", dtype="float32", changes=changes)
    task = load_task(f"{TASK}:task").task
    queries = [task.train_set[row] for row in (3, 8, 21)]
    found = Searcher(index).scores(Featurizer.open(task, index.recipe, states(index)).query(queries).numpy())
    items = [task.train_set[row] for row in range(len(task.train_set))]
    train, _ = gradients(task, index.recipe, Member(0), items, "loss")
    query, _ = gradients(task, index.recipe, Member(0), queries, "loss")
    rows = fit_sample(len(items), SAMPLE)
    sampled = {name: matrices[rows] for name, matrices in train.items()}
    expected = reference.ekfac_scores(
        query,
        train,
        {name: second_moments(name, sampled) for name in sampled},
        index.recipe.curvature.damping,
        corrected=True,
        means={name: float((matrices**2).mean()) for name, matrices in sampled.items()},
    )
    assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize(("name", "changes"), [*CASES.items(), *OTHERS])
def test_index_equals_the_dense_formula(name: str, changes: dict, tmp_path: Path) -> None:
    hold_formula(tmp_path, name, changes, "task")


@pytest.mark.parametrize(("name", "changes"), TRAINED)
def test_index_equals_the_dense_formula_of_the_optimizers_moments(
    name: str, changes: dict, tmp_path: Path
) -> None:
    hold_formula(tmp_path, name, changes, "trained_task")


def hold_formula(folder: Path, name: str, changes: dict, function: str) -> None:
    index = built(folder, name, dtype="float32", changes=changes, function=function)
    task = load_index_task(index)
    queries = [task.train_set[row] for row in (3, 8, 21)]
    features = Featurizer.open(task, index.recipe, states(index)).query(queries)
    found = Searcher(index).scores(features.numpy())
    expected = dense_scores(task, index.recipe, queries)
    tolerance = TOLERANCE if index.recipe.pca is None else ROTATED
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("name", ["ekfac", "trak"])
def test_half_precision_storage_rounds_and_nothing_more(name: str, tmp_path: Path) -> None:
    whole, half = built(tmp_path / "a", name, dtype="float32"), built(tmp_path / "b", name, dtype="float16")
    task = load_task(f"{TASK}:task").task
    features = Featurizer.open(task, whole.recipe, states(whole)).query([task.train_set[0]]).numpy()
    one, other = (Searcher(index).scores(features) for index in (whole, half))
    assert np.abs(one - other).max() <= 1e-3 * np.abs(one).max()
    assert not np.array_equal(one, other)


def test_self_influence_is_each_points_own_score(tmp_path: Path) -> None:
    for name in ("ekfac", "trak", "dvemb", "less"):
        index = built(tmp_path / name, name, dtype="float32")
        task = load_index_task(index)
        items = [task.train_set[row] for row in range(10)]
        own = np.diag(
            Searcher(index).scores(Featurizer.open(task, index.recipe, states(index)).query(items).numpy())
        )
        np.testing.assert_allclose(index.self_influence[:10], own, rtol=1e-4)


def built(
    folder: Path, name: str, *, dtype: str, changes: dict | None = None, function: str = "task"
) -> AttributionIndex:
    """Build the tiny Task's index."""
    chosen = recipe(name, **(changes or CASES[name]))
    function = "squared_task" if chosen.train_signal == "square" else function
    config = {
        "task": recorded.record(folder / "runs", chosen) if chosen.recorded else f"{TASK}:{function}",
        "recipe": {"name": name, **(changes or CASES[name])},
        "index": {"path": folder / "index", "dtype": {"float32": "fp32", "float16": "fp16"}[dtype]},
        "build": {"block_rows": 32, "batch_rows": 16},
    }
    return AttributionIndex.open(build(BuildConfig.model_validate(config)).path)


def states(index: AttributionIndex) -> dict[str, dict[str, torch.Tensor]]:
    """Member name -> fitted state."""
    return {member.name: index.states(member.name) for member in index.manifest.members}


def dense_scores(task: Task, recipe: Recipe, queries: list) -> np.ndarray:
    """Mean over the members of q^T H^-1 g, times the row weight."""
    items = [task.train_set[row] for row in range(len(task.train_set))]
    total, weights = 0.0, 0.0
    members = recipe.members.of(task.checkpoints)
    for member, share in zip(members, member_shares(members), strict=True):
        if recipe.recorded:
            query, _ = gradients(task, recipe, asked(recipe, member), queries, recipe.query_target)
            total = total + trajectory_scores(task, recipe, member, query) * share
            weights = 1.0
            continue
        train, objective = gradients(task, recipe, member, items, recipe.train_signal)
        query, _ = gradients(task, recipe, asked(recipe, member), queries, recipe.query_target)
        at_labels = label_gradients(task, recipe, member, items)
        evaluated = evaluation_gradients(task, recipe, member)
        outer = at_labels
        if recipe.scale.kind != "none":
            first, second = moments(task, recipe, member, train)
            outer = [scaled(rank_one(recipe), each, first, second) for each in at_labels]
            evaluated = scaled(recipe, evaluated, first, second) if evaluated else None
            at_labels = [scaled(recipe, each, first, second) for each in at_labels]
            train = scaled(recipe, train, first, second)
            query = query if recipe.scale.kind == "adam" else scaled(recipe, query, first, second)
        hessian = getattr(recipe.curvature, "matrix", "ggn") == "hessian"
        if hessian or recipe.curvature.kind in {"cg", "lissa", "arnoldi"}:
            score = partial(product_scores, task, recipe, member, train=train)
        else:
            fitted = mixed(recipe, at_labels, evaluated)
            last = task.checkpoints[member.checkpoint]
            horizon = (
                recipe.curvature.time * last.steps * last.learning_rate if recipe.uses_run_time else None
            )
            score = partial(
                member_scores, task, recipe, train=train, at_labels=fitted, outer=outer, horizon=horizon
            )
        total = total + score(query) * share
        exact = replace_labels(recipe, "exact") if recipe.labels == "sampled" else recipe
        expected = label_gradients(task, exact, member, items)
        weights = weights + row_weights(recipe, score, train, objective, expected) / len(members)
    return total * weights


def moments(task: Task, recipe: Recipe, member: Member, train: dict) -> tuple[dict, dict]:
    """First and second moments, [O, I] a block: the checkpoint's, or the means over the training points."""
    given = load_optimizer_state(task.checkpoints[member.checkpoint], task.model)
    if given is None:
        return {n: m.mean(axis=0) for n, m in train.items()}, {
            n: (m**2).mean(axis=0) for n, m in train.items()
        }
    found = []
    for moment in ("exp_avg", "exp_avg_sq"):
        row = {
            name.removeprefix(f"{moment}/"): t for name, t in given.items() if name.startswith(f"{moment}/")
        }
        blocks = reference.block_matrices(attributed(task, recipe), [row])
        found.append({name: matrices[0] for name, matrices in blocks.items()})
    return found[0], found[1]


def evaluation_gradients(task: Task, recipe: Recipe, member: Member) -> dict[str, np.ndarray] | None:
    """Gradients of the evaluation set's items as queries, where the curvature is partly of them."""
    if not getattr(recipe.curvature, "evaluation", 0):
        return None
    items = [task.evaluation_set[row] for row in range(len(task.evaluation_set))]
    return gradients(task, recipe, member, items, recipe.query_target)[0]


def mixed(recipe: Recipe, at_labels: list, evaluated: dict | None) -> list[dict[str, np.ndarray]]:
    """Rows whose outer products add up to n (e F_eval + (1 - e) F_train), n the number of training points."""
    if evaluated is None:
        return at_labels
    share, count = recipe.curvature.evaluation, len(at_labels[0][next(iter(evaluated))])
    own = [{name: m * (1 - share) ** 0.5 for name, m in each.items()} for each in at_labels]
    return [*own, {name: m * (share * count / len(m)) ** 0.5 for name, m in evaluated.items()}]


def scaled(recipe: Recipe, rows: dict, first: dict, second: dict) -> dict[str, np.ndarray]:
    """Gradients by the root of the second moment, or Adam's directions, entry by entry."""
    made, options = {}, recipe.scale
    for name, g in rows.items():
        if options.kind == "adam":
            m = options.beta1 * first[name] + (1 - options.beta1) * g
            v = options.beta2 * second[name] + (1 - options.beta2) * g**2
            made[name] = m / (np.sqrt(v) + options.epsilon)
            continue
        v, floor = second[name], options.floor
        if options.factored:
            row, column = v.mean(axis=1) / v.mean() + floor, v.mean(axis=0) / v.mean() + floor
            v = np.outer(row, column) * v.mean()
        else:
            v = v + floor * v.mean()
        made[name] = g / v**options.power
    return made


def rank_one(recipe: Recipe) -> Recipe:
    """The recipe with the rank-one form of its scale."""
    if recipe.scale.kind != "second_moment":
        return recipe
    return recipe.model_copy(update={"scale": recipe.scale.model_copy(update={"factored": True})})


def row_weights(
    recipe: Recipe, score: Callable, train: dict, objective: np.ndarray, expected: list
) -> np.ndarray:
    """One member's weights of all training points, from their definitions."""
    match recipe.row_weight:
        case "one_minus_p":
            return 1 / (1 + np.exp(-objective))
        case "relative_l":
            return 1 / np.sqrt(np.diag(score(train)))
        case "relative_theta":
            # |H^-1 g_i| from the scores of unit vectors: column p of the identity gives entry p of every H^-1 g_i.
            units = np.eye(sum(m[0].size for m in train.values()))
            return 1 / np.linalg.norm(score(unflattened(units, train)), axis=0)
        case "leverage":
            leverage = sum(np.diag(score(each, train=each)) for each in expected) / len(objective)
            return 1 / (1 - np.minimum(leverage, 0.9))
    return np.ones(len(objective))


def replace_labels(recipe: Recipe, labels: str) -> Recipe:
    return recipe.model_copy(update={"curvature": recipe.curvature.model_copy(update={"labels": labels})})


def unflattened(rows: np.ndarray, like: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    cuts = np.cumsum([m[0].size for m in like.values()])[:-1]
    return {
        n: part.reshape(-1, *like[n].shape[1:])
        for n, part in zip(like, np.split(rows, cuts, axis=1), strict=True)
    }


def label_gradients(task: Task, recipe: Recipe, member: Member, items: list) -> list[dict[str, np.ndarray]]:
    """Gradients of the loss at the labels that the curvature is fitted with, times the roots of probabilities."""
    if recipe.labels == "given":
        return [gradients(task, recipe, member, items, recipe.train_signal)[0]]
    with_mask = MemberModel.load(task, recipe, member)
    inputs = torch.stack([torch.as_tensor(x) for x, _ in items])
    with torch.no_grad(), with_mask._passes.within():
        logits = with_mask.model(inputs)
    if recipe.labels == "sampled":
        labels = sampled_labels(task.outputs, logits, None, torch.arange(len(items))).labels.tolist()
        drawn = [(x, label) for (x, _), label in zip(items, labels, strict=True)]
        return [gradients(task, recipe, member, drawn, "loss")[0]]
    found = []
    for label, root_N in enumerate(logits.double().softmax(dim=1).sqrt().T.numpy()):
        rows, _ = gradients(task, recipe, member, [(x, label) for x, _ in items], "loss")
        found.append({name: m * root_N[:, None, None] for name, m in rows.items()})
    return found


def gradients(
    task: Task, recipe: Recipe, member: Member, items: list, target: str
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Block -> [N, O, I] by one-by-one autograd in float64, and the objective's values."""
    model = task.model()
    load_checkpoint(model, task.checkpoints[member.checkpoint])
    model.double().eval()
    blocks = attributed(task, recipe)
    batches = [[torch.as_tensor(x)[None].double(), torch.tensor([y])] for x, y in items]
    names = [p for block in blocks for p in block.parameters]

    def objective(network: torch.nn.Module, batch: list) -> torch.Tensor:
        if member.mask_seed is None:
            return task.objective(target)(network, batch)
        with DropoutMask(network, member.mask_seed, recipe.members.mask_rate).active():
            return task.objective(target)(network, batch)

    rows = reference.gradients_one_by_one(model, objective, batches, names)
    values = np.array([objective(model, batch).item() for batch in batches])
    return reference.block_matrices(blocks, rows), values


def asked(recipe: Recipe, member: Member) -> Member:
    """The model that queries are differentiated under."""
    return member.whole if recipe.members.queries == "whole" else member


def attributed(task: Task, recipe: Recipe) -> tuple[Block, ...]:
    """The tiny network calls its layers in the order of its parameters."""
    return blocks_of(task)[-1:] if recipe.layers == "last" else blocks_of(task)


def member_scores(
    task: Task,
    recipe: Recipe,
    query: dict,
    *,
    train: dict,
    at_labels: list,
    outer: list,
    horizon: float | None,
) -> np.ndarray:
    """One member's scores from the formula of its curvature. Kronecker factors are of `outer`."""
    curvature = recipe.curvature
    if curvature.kind in {"kfac", "ekfac"}:
        assert {b.form for b in blocks_of(task)} == {"matrix"}  # linear layers all
        (fitted,) = outer
        factors = {name: second_moments(name, fitted) for name in fitted}
        return reference.ekfac_scores(
            query,
            train,
            factors,
            curvature.damping,
            corrected=curvature.kind == "ekfac",
            horizon=horizon,
        )
    matrix, widths = projection_matrix(recipe, attributed(task, recipe))
    phi_q, phi_t = reference.flat(query) @ matrix, reference.flat(train) @ matrix
    if curvature.kind == "none":
        if recipe.unit_norm:
            phi_q, phi_t = (p / np.linalg.norm(p, axis=1, keepdims=True) for p in (phi_q, phi_t))
        return phi_q @ phi_t.T
    if curvature.kind == "datainf":
        return reference.datainf_scores(phi_q, phi_t, curvature.damping, widths)
    by_layer = curvature.kind == "fisher" and curvature.blocks == "layer"
    fit = np.concatenate([reference.flat(each) @ matrix for each in at_labels])
    fitted_on = (fit, len(at_labels[0][next(iter(train))]))
    score = partial(
        reference.fisher_scores,
        damping=curvature.damping,
        widths=widths if by_layer else [sum(widths)],
        fitted_on=fitted_on,
    )
    found = score(phi_q, phi_t)
    if recipe.unit_norm:
        lengths = [np.sqrt(np.diag(score(each, each))) for each in (phi_q, phi_t)]
        return found / np.outer(*lengths)
    return found


def trajectory_scores(task: Task, recipe: Recipe, member: Member, query: dict) -> np.ndarray:
    """What each point did to the weights, followed forwards through the run, in float64."""
    blocks = attributed(task, recipe)
    matrix, widths = projection_matrix(recipe, blocks)
    cuts = [sum(widths)] if recipe.curvature.blocks == "joint" else widths
    mask = torch.block_diag(*[torch.ones(width, width) for width in cuts]).double().numpy()
    model = recorded.start(member.checkpoint)
    moved_RK = np.zeros((len(task.train_set), matrix.shape[1]))
    adamw = recipe.scale.kind != "none"
    second = {name: 0.0 for name, _ in model.named_parameters()}
    run = (recorded.adamw_steps if adamw else recorded.steps)(model, task, member.checkpoint)
    for number, (rows, rate, *_) in enumerate(run, start=1):
        before = replace(task, checkpoints=[Checkpoint(weights=model.state_dict())])
        items = [task.train_set[row] for row in rows.tolist()]
        found = gradients(before, recipe, Member(0), items, "loss")[0]
        if adamw:
            second = {n: 0.9 * second[n] + 0.1 * p.grad.double() ** 2 for n, p in model.named_parameters()}
            corrected = {n: v / (1 - 0.9**number) for n, v in second.items()}
            by_block = {n: m[0] for n, m in reference.block_matrices(blocks, [corrected]).items()}
            found = scaled(recipe, found, {}, by_block)
        phi = reference.flat(found) @ matrix
        curved = moved_RK @ (mask * (phi.T @ phi) / len(rows))
        moved_RK = (1 - 0.3 * rate * adamw) * moved_RK - rate * curved
        np.add.at(moved_RK, rows.numpy(), rate / len(rows) * phi)
    assert not moved_RK[recorded.NEVER].any()
    if adamw:
        query = scaled(recipe, query, {}, moments(task, recipe, member, {})[1])
    return reference.flat(query) @ matrix @ moved_RK.T


def product_scores(task: Task, recipe: Recipe, member: Member, query: dict, *, train: dict) -> np.ndarray:
    """One member's scores with the curvature matrix written out in float64, from its definition."""
    curvature = recipe.curvature
    rows = fit_sample(len(task.train_set), curvature.sample)
    items = [task.train_set[int(row)] for row in rows]
    matrix = curvature_matrix(task, recipe, member, items)
    query_QP, train_NP = reference.flat(query), reference.flat(train)
    if curvature.kind == "explicit":
        return query_QP @ np.linalg.solve(reference.damped(matrix, curvature.damping), train_NP.T)
    if curvature.kind == "arnoldi":
        return reference.ritz_scores(query_QP, train_NP, matrix, recipe.projection.size, curvature.damping)
    width = len(matrix)
    signs = random_signs(stream_key(0, "trace"), 0, PROBES, width, torch.device("cpu")).double().numpy()
    mean = np.einsum("vp,pq,vq->", signs, matrix, signs) / PROBES / width
    assert mean == pytest.approx(np.trace(matrix) / width, rel=0.3), "the estimate of the trace"
    solved = np.linalg.solve(matrix + curvature.damping * mean * np.eye(width), query_QP.T).T
    if recipe.projection.kind == "eigenbasis":  # of all coordinates: a rotation
        return solved @ train_NP.T
    projection, _ = projection_matrix(recipe, attributed(task, recipe))
    return solved @ projection @ (train_NP @ projection).T


def curvature_matrix(task: Task, recipe: Recipe, member: Member, items: list) -> np.ndarray:
    """The mean Hessian or Gauss-Newton matrix over items, block after block."""
    model = task.model()
    load_checkpoint(model, task.checkpoints[member.checkpoint])
    model.double().eval()
    inputs = torch.stack([torch.as_tensor(x).double() for x, _ in items])
    labels = torch.tensor([y for _, y in items])
    blocks = attributed(task, recipe)
    sizes = [block.rows * block.columns for block in blocks]
    parameters = dict(model.named_parameters())
    now = [torch.cat([parameters[w].detach(), parameters[b].detach()[:, None]], 1) for w, b in names(blocks)]

    def logits(vector: torch.Tensor) -> torch.Tensor:
        own = {}
        for (weight, bias), block, part in zip(names(blocks), blocks, vector.split(sizes), strict=True):
            matrix = part.reshape(block.rows, block.columns)
            own |= {weight: matrix[:, :-1], bias: matrix[:, -1]}
        if member.mask_seed is None:
            return functional_call(model, own, (inputs,))
        with DropoutMask(model, member.mask_seed, recipe.members.mask_rate).active():
            return functional_call(model, own, (inputs,))

    vector = torch.cat([m.flatten() for m in now])
    if getattr(recipe.curvature, "matrix", "ggn") == "hessian":
        loss = partial(torch.nn.functional.cross_entropy, target=labels)
        return torch.autograd.functional.hessian(lambda v: loss(logits(v)), vector).numpy()
    jacobian = torch.autograd.functional.jacobian(logits, vector)
    p = logits(vector).softmax(dim=1)
    inner = torch.diag_embed(p) - p[:, :, None] * p[:, None]
    return (torch.einsum("nap,nab,nbq->pq", jacobian, inner, jacobian) / len(items)).numpy()


def names(blocks: tuple[Block, ...]) -> list[tuple[str, ...]]:
    return [block.parameters for block in blocks]


def second_moments(name: str, train: dict) -> tuple[np.ndarray, np.ndarray]:
    """Factors of a linear layer, from its rank-one gradients G = b a^T, whose last input is the bias's 1."""
    b = train[name][:, :, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        a = np.einsum("noi,no->ni", train[name], b) / (b**2).sum(axis=1, keepdims=True)
    active = np.abs(b).sum(axis=1) > 0
    return b.T @ b / len(b), a[active].T @ a[active] / active.sum()


def projection_matrix(recipe: Recipe, blocks: tuple[Block, ...]) -> tuple[np.ndarray, list[int]]:
    """The projection as [P, K]: what it makes of each parameter's unit vector; and the blocks' widths."""
    project = recipe.projection.projector(blocks, {})
    rows = []
    for block in blocks:
        for position in range(block.rows * block.columns):
            unit = torch.zeros(block.rows * block.columns)
            unit[position] = 1
            matrix = unit.reshape(block.rows, block.columns)
            tensors = {n: torch.zeros(s) for b in blocks for n, s in zip(b.parameters, b.shapes, strict=True)}
            tensors[block.parameters[0]] = matrix[:, :-1].reshape(block.shapes[0])
            tensors[block.parameters[1]] = matrix[:, -1]
            rows.append(project(dense_gradients(blocks, tensors))[0].double().numpy())
    return np.stack(rows), list(project.widths.values())
