"""A build with a PCA: its numbers against the index without one, its units resumed, its answers complete."""

from pathlib import Path

import numpy as np
import pytest
import torch

from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline.errors import InvalidQuery
from byline.features.queries import Featurizer, GradientFeaturizer
from byline.index.index import AttributionIndex
from byline.projection.pca import decode_directions
from byline.search.searcher import Searcher
from byline.task import Task
from byline_indexer.build.build import build
from byline_indexer.build.estimate import estimate
from byline_indexer.build.probe import make_plan
from byline_indexer.progress import Silent
from byline_indexer.units.executor import InProcess
from byline_indexer.units.schedule import run_units, unfinished_rotation
from byline_indexer.units.unit import ENSEMBLE, Stage, Unit
from byline_indexer.units.workspace import Workspace
from tests.indexer.conftest import Config

LOSSLESS = {"pca": {"size": 90}}
SMALLER = {"pca": {"size": 12, "sample": 60}}
QUERY = {"x": [0.5, -1.0, 0.25, 2.0, 0.0, 1.0], "label": 2}


def opened(index: AttributionIndex, task: Task) -> Featurizer:
    return Featurizer.open(task, index.recipe, {m.name: index.states(m.name) for m in index.members})


@pytest.mark.parametrize(
    "recipe",
    ["logra", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ekfac", "ekfac_margin", "trak"))],
)
def test_as_many_numbers_as_rows_keep_the_members_scores(config: Config, tiny: Task, recipe: str) -> None:
    whole = AttributionIndex.open(build(config(recipe, index="whole", storage={"dtype": "fp32"})).path)
    index = AttributionIndex.open(
        build(config(recipe, changes=LOSSLESS, index="pca", storage={"dtype": "fp32"})).path
    )
    assert index.width == min(90, sum(m.width for m in index.members))
    items = [tiny.train_set[row] for row in (3, 8, 21)]
    expected_QK, found = opened(whole, tiny).query(items), opened(index, tiny).features(items)
    hits = Searcher(whole).search(expected_QK, 90)
    wanted_QkM = Searcher(whole).member_scores(expected_QK, hits)
    got_QkM = Searcher(index).member_scores(found.whole_QK, hits, found.parts_QMK)
    assert np.abs(got_QkM - wanted_QkM).max() <= 0.02 * np.abs(wanted_QkM).max()
    owners = Searcher(index).owner_scores(found.whole_QK, found.parts_QMK)
    expected = Searcher(whole).owner_scores(expected_QK)
    assert np.abs(owners - expected).max() <= 0.02 * np.abs(expected).max()


def test_stored_vectors_are_the_rotated_features_in_float64(config: Config, tiny: Task) -> None:
    whole = AttributionIndex.open(build(config("trak", index="whole", storage={"dtype": "fp32"})).path)
    index = AttributionIndex.open(
        build(config("trak", changes=SMALLER, index="pca", storage={"dtype": "fp32"})).path
    )
    states = [index.states(member.name) for member in index.members]
    V_Kk = torch.cat([decode_directions(state) for state in states]).double().numpy()
    rows = np.arange(index.rows)
    expected = whole.row_source.gather(rows).astype(np.float64) @ V_Kk
    found = index.row_source.gather(rows)
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    items = [tiny.train_set[row] for row in range(5)]
    query = opened(index, tiny).features(items)
    own = opened(whole, tiny).query(items).double().numpy() @ V_Kk
    assert np.abs(query.whole_QK.numpy() - own).max() <= 1e-5 * np.abs(own).max()
    hits = Searcher(index).search(query.whole_QK, 7)
    by_member = Searcher(index).member_scores(query.whole_QK, hits, query.parts_QMK)
    np.testing.assert_allclose(by_member.mean(axis=2), hits.scores_QK, rtol=1e-4, atol=1e-6)


def test_small_directions_are_the_strongest(config: Config) -> None:
    """Against the eigenvectors of the rows that the fit saw, each divided by the root of its length."""
    changes = {"pca": {"size": 6, "passes": 4}}
    whole = AttributionIndex.open(build(config("trak", index="whole", storage={"dtype": "fp32"})).path)
    index = AttributionIndex.open(build(config("trak", changes=changes, index="pca")).path)
    X = whole.row_source.gather(np.arange(90)).astype(np.float64)
    X /= np.sqrt(np.linalg.norm(X, axis=1, keepdims=True))
    V = torch.cat([decode_directions(index.states(member.name)) for member in index.members]).double().numpy()
    strongest = (np.linalg.svd(X)[1][:6] ** 2).sum()
    assert ((X @ V) ** 2).sum() >= 0.995 * strongest


def test_an_interrupted_pca_ends_the_same(config: Config, tiny: Task, tmp_path: Path) -> None:
    plan = make_plan(config("ekfac", changes=SMALLER), tiny, tmp_path / "work")
    workspace = Workspace(plan.work)

    def run() -> dict[str, bytes]:
        with InProcess(plan, tiny) as executor:
            run_units(plan, workspace, executor, Silent())
        return {str(p): p.read_bytes() for p in plan.work.rglob(f"{ENSEMBLE}/rotate/*") if p.is_file()}

    before = run()
    assert not unfinished_rotation(plan, workspace)
    for lost in (
        [Unit(Stage.ROTATE, ENSEMBLE, 3)],
        [Unit(Stage.ROTATE, ENSEMBLE, 4), Unit(Stage.EMIT, plan.members[1].name, 4)],
        [Unit(Stage.WIDEN, plan.members[0].name, 2), Unit(Stage.DIRECT, plan.members[0].name, 0, "0")],
        [Unit(Stage.ROTATE, ENSEMBLE, 0), Unit(Stage.DIRECT, plan.members[1].name, 0, "0")],
        [plan.mix_unit(0), Unit(Stage.DIRECT, plan.members[0].name, 0, "0")],
        [Unit(Stage.GATHER, plan.members[0].name, 0, "0"), plan.mix_unit(0)]
        + [Unit(Stage.DIRECT, m.name, 0, "0") for m in plan.members],
    ):
        for unit in lost:
            workspace.discard(unit)
        fitted = any(unit.stage is Stage.DIRECT for unit in lost)
        assert bool(unfinished_rotation(plan, workspace)) == fitted
        assert run() == before


def test_workers_and_blocks_do_not_matter(config: Config) -> None:
    one = build(config("ekfac", changes=SMALLER, index="one"))
    two = build(config("ekfac", changes=SMALLER, index="two", workers=2))
    vectors = [(b.path / "vectors/00000.npy").read_bytes() for b in (one, two)]
    assert vectors[0] == vectors[1]


def test_answers_carry_errors_unless_a_finished_feature_was_sent(config: Config, tiny: Task) -> None:
    chosen = config("ekfac", changes={**SMALLER, "members": {"masks": 3, "checkpoints": [0]}})
    attributor = Attributor.open(build(chosen).path, task=tiny)
    asked = AttributionRequest(query=QUERY, shares=True, members=True)
    answer = attributor.attribute(asked)
    assert answer.standard_error_scope == "within_checkpoint"
    for each in answer.proponents:
        assert each.standard_error > 0
        assert np.mean(list(each.members.values())) == pytest.approx(each.score, rel=1e-4)
    assert all(owner.standard_error > 0 for owner in answer.shares.owners)
    item = (torch.tensor(QUERY["x"]), 2)
    feature = attributor._preparer._models().query([item])[0].tolist()
    bare = attributor.attribute(AttributionRequest(feature=feature, shares=True, members=True))
    assert [each.row for each in bare.proponents] == [each.row for each in answer.proponents]
    assert bare.standard_error_scope is None
    assert bare.proponents[0].standard_error is None
    assert bare.proponents[0].members is None
    assert bare.shares.owners[0].standard_error is None
    assert bare.shares.owners[0].score == pytest.approx(answer.shares.owners[0].score, rel=1e-4)
    both = attributor.answer(
        [attributor.check(asked), attributor.check(asked.changed(query=None, feature=feature))]
    )
    assert both[0].proponents[0].standard_error == pytest.approx(answer.proponents[0].standard_error)
    assert both[1].proponents[0].standard_error is None
    with pytest.raises(InvalidQuery):
        attributor.check(AttributionRequest(feature=[*feature, 0.0]))


def test_gradients_from_elsewhere_have_parts(config: Config, tiny: Task) -> None:
    index = AttributionIndex.open(build(config("trak", changes=SMALLER)).path)
    featurizer = opened(index, tiny)
    item = tiny.train_set[4]
    tensors = {}
    for member in featurizer.members:
        grads = featurizer._models[member].gradients([item], "margin")
        for block in index.manifest.blocks:
            matrix = grads.blocks[block.name].dense()[0]
            tensors[f"{member.name}/{block.parameters[0]}"] = matrix[:, :-1].reshape(block.shapes[0])
            tensors[f"{member.name}/{block.parameters[1]}"] = matrix[:, -1]
    states = {m: index.states(m.name) for m in featurizer.members}
    found = GradientFeaturizer(index.recipe, index.manifest.blocks, states).features_of(tensors)
    expected = featurizer.features([item], "margin")
    torch.testing.assert_close(found.parts_QMK, expected.parts_QMK, rtol=1e-3, atol=1e-5)


def test_the_dry_run_knows_the_bytes(config: Config) -> None:
    chosen = config("ekfac", changes=SMALLER)
    found = estimate(chosen)
    shard = (build(chosen).path / "vectors/00000.npy").stat().st_size
    assert found.vectors == pytest.approx(shard, abs=200)
    assert {"fit the pca", "rotate"} <= {each.name for each in found.passes}
