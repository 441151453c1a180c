"""Recipes whose inverse is solved for each query: every way to ask, what is read, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline.curvature import iterative
from byline.curvature.iterative import PROBES, TraceStatistic
from byline.curvature.products import Matrix
from byline.errors import InvalidQuery, InvalidRecipe, StaleIndex
from byline.features.queries import Featurizer
from byline.features.sampling import fit_sample
from byline.features.solving import ItemProducts, TrainingProducts
from byline.index.index import AttributionIndex
from byline.members import Member
from byline.models.member import MemberModel
from byline.recipes import recipe
from byline_indexer.build.build import build
from byline_indexer.config import BuildConfig
from byline_indexer.pilot import run_pilot
from tests.indexer import tiny_task

QUERY = {"x": [0.1, -0.4, 1.2, 0.3, -0.8, 0.5], "label": 1}
RECIPE = {
    "name": "if_cg",
    "projection": {"size": 24},
    "curvature": {"sample": 50},
    "members": {"checkpoints": [0]},
}


def config(folder: Path, **changes: object) -> BuildConfig:
    return BuildConfig.model_validate(
        {
            "task": f"{Path(tiny_task.__file__)}:task",
            "recipe": {**RECIPE, **changes},
            "index": {"path": folder},
            "build": {"block_rows": 32, "batch_rows": 16},
        }
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(config(tmp_path_factory.mktemp("solved") / "index")).path


@pytest.fixture(scope="module")
def featurizer(path: Path) -> Featurizer:
    index = AttributionIndex.open(path)
    return Featurizer.open(
        tiny_task.task(), index.recipe, {m.name: index.states(m.name) for m in index.members}
    )


def gradient(featurizer: Featurizer) -> dict[str, torch.Tensor]:
    network, task = featurizer.model, tiny_task.task()
    network.requires_grad_()
    loss = task.loss(network, [torch.tensor([QUERY["x"]]), torch.tensor([QUERY["label"]])]).sum()
    found = torch.autograd.grad(loss, list(network.parameters()))
    network.requires_grad_(requires_grad=False)
    return {f"c0/{n}": g for (n, _), g in zip(network.named_parameters(), found, strict=True)}


def test_a_clients_gradient_is_solved_too(featurizer: Featurizer) -> None:
    item = (torch.tensor(QUERY["x"]), QUERY["label"])
    torch.testing.assert_close(
        featurizer.features_of(gradient(featurizer)).whole_QK, featurizer.query([item]), rtol=1e-3, atol=1e-5
    )


def test_the_mean_of_queries_is_solved_once(featurizer: Featurizer) -> None:
    items = [tiny_task.task().train_set[row] for row in range(5)]
    mean = featurizer.query(items, mean=True)
    torch.testing.assert_close(
        mean,
        featurizer.query(items).mean(dim=0, keepdim=True),
        rtol=2e-2,
        atol=1e-2 * float(mean.abs().max()),
    )


def test_without_the_task_gradients_are_refused_and_features_answered(
    path: Path, featurizer: Featurizer
) -> None:
    attributor = Attributor.open_without_task(path)
    with pytest.raises(InvalidQuery, match="opened without its Task"):
        attributor.attribute(AttributionRequest(gradient=gradient(featurizer)))
    item = (torch.tensor(QUERY["x"]), QUERY["label"])
    request = AttributionRequest(feature=featurizer.query([item])[0].numpy())
    found = attributor.attribute(request).proponents
    asked = Attributor.open(path).attribute(AttributionRequest(query=QUERY)).proponents
    assert [each.row for each in found] == [each.row for each in asked]


def test_products_run_over_the_sample_and_nothing_else() -> None:
    task = tiny_task.task()
    read: list[int] = []

    class Watched(list):
        def __getitem__(self, row: int) -> object:
            read.append(row)
            return super().__getitem__(row)

    object.__setattr__(task, "train_set", Watched(task.train_set))
    member = MemberModel.load(task, recipe("if_cg"), Member(0))
    read.clear()
    products = TrainingProducts(member, 20, 8)
    assert products.batches == 3
    vectors = torch.randn(2, sum(b.rows * b.columns for b in member.blocks), dtype=torch.float64)
    whole = products.mean(vectors, "ggn")
    products.mean(vectors, "hessian")
    assert sorted(read) == fit_sample(90, 20).tolist(), "each row once"
    sizes = [8, 8, 4]
    parts = sum(products.of_batch(vectors, n, "ggn") * size for n, size in enumerate(sizes)) / 20
    torch.testing.assert_close(whole, parts)


def test_a_query_that_cannot_be_solved_says_what_to_change(tmp_path: Path) -> None:
    changes = {"matrix": "hessian", "damping": 1e-3}
    path = build(config(tmp_path / "index", curvature=changes)).path
    with pytest.raises(InvalidRecipe, match=r"raise curvature\.damping"):
        Attributor.open(path).attribute(AttributionRequest(query=QUERY))


def test_there_is_no_self_influence(path: Path) -> None:
    assert not AttributionIndex.open(path).self_influence.any()


def test_a_pilot_does_not_solve(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecipe, match="plan with 'ekfac'"):
        run_pilot(config(tmp_path / "index"))


def test_fewer_training_points_are_stale(path: Path) -> None:
    task = tiny_task.task()
    with pytest.raises(StaleIndex, match="89 training points, and this index was built from 90"):
        Attributor.open(path, task=replace(task, train_set=task.train_set[:-1]))


def test_vectors_that_are_multiplied_apart_estimate_the_same_trace(
    featurizer: Featurizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = featurizer.first
    batch = ItemProducts(model, [tiny_task.task().train_set[row] for row in range(4)])
    statistic = TraceStatistic(model.blocks, "ggn", 30.0, None)
    together = statistic.measure(batch, {})["trace"]
    counts: list[int] = []

    class Watched:
        def __len__(self) -> int:
            return len(batch)

        def __call__(self, vectors_VP: torch.Tensor, matrix: Matrix) -> torch.Tensor:
            counts.append(len(vectors_VP))
            return batch(vectors_VP, matrix)

    monkeypatch.setattr(iterative, "NUMBERS", 1)
    torch.testing.assert_close(statistic.measure(Watched(), {})["trace"], together)
    assert counts == [1] * PROBES
