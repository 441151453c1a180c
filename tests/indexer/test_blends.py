"""Rankings by a blend on a built index: the formula over all rows, the setting without a rebuild, and the refusals."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from byline.__main__ import main
from byline.api.blend import Blend
from byline.api.query import Filter
from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline.baselines import BASELINES
from byline.errors import InvalidQuery, InvalidTask
from byline.index.blend import blend_path
from byline.index.index import AttributionIndex
from byline_indexer.build.build import build
from byline_indexer.build.index import BuildOptions, build_index
from byline_indexer.config import BuildConfig
from byline_indexer.scores import Chosen, write_scores
from tests.indexer import tiny_task
from tests.indexer.conftest import SMALL, TINY

QUERY = {"x": [1, -1, 0.5, 0, 2, -0.5], "label": 1}
OPEN = {"x": [0.5, 1, -0.5, 2, -2, 0.25]}
WEIGHT = 0.75


def settings(folder: Path, blend: dict[str, Any] | None, **sections: Any) -> BuildConfig:
    config = {
        "task": f"{TINY}:task",
        "recipe": {"name": "trak", **SMALL["trak"]},
        "index": {"path": folder},
        "blend": blend,
        **sections,
    }
    return BuildConfig.model_validate(config)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("points") / "index"
    return build(settings(folder, {"baseline": "bm25", "weight": WEIGHT})).path


@pytest.fixture(scope="module")
def attributor(index: Path) -> Attributor:
    opened = Attributor.open(index)
    opened.similarities.offer(["blend"])
    return opened


def z(scores: np.ndarray) -> np.ndarray:
    exact = np.asarray(scores, dtype=np.float64)
    return (exact - exact.mean()) / np.sqrt(((exact - exact.mean()) ** 2).mean())


def expected(attributor: Attributor, query: dict[str, Any], weight: float = WEIGHT) -> np.ndarray:
    """The formula over every stored row, in float64."""
    item = tiny_task.parse(tiny_task.Payload(**query)).item
    every = attributor.attribute(AttributionRequest(query=query, k=90))
    influence = np.zeros(90)
    for each in every.proponents or ():
        influence[each.row] = each.score
    words = BASELINES["bm25"].fit(tiny_task.task()).scores([item])[0]
    return z(influence) + weight * z(words)


def test_an_answer_is_the_formula_and_says_what_it_is(attributor: Attributor) -> None:
    answer = attributor.attribute(AttributionRequest(query=QUERY, baseline="blend", k=90, direction="both"))
    assert answer.proponents is not None
    assert answer.opponents is not None
    wanted = expected(attributor, QUERY)
    found = np.array([each.score for each in answer.proponents])
    np.testing.assert_allclose(found, wanted[[each.row for each in answer.proponents]], atol=1e-5)
    assert (np.diff(found) <= 0).all()
    assert [each.score for each in answer.opponents] == found[::-1].tolist()
    assert answer.baseline == "blend"
    assert answer.blend == Blend(baseline="bm25", weight=WEIGHT)
    assert (answer.recipe, answer.target) == ("trak", attributor.index.recipe.query_target)
    assert answer.recipe_fingerprint == attributor.recipe_fingerprint
    assert answer.exact
    assert answer.shares is answer.quality_card is answer.standard_error_scope is None
    assert all(each.standard_error is None for each in answer.proponents)
    assert answer.stands_out.proponents is None


def test_z_scores_are_over_the_rows_that_a_filter_leaves_out_too(attributor: Attributor) -> None:
    asked = AttributionRequest(query=QUERY, baseline="blend", k=90, filter=Filter(owner=["owner-1"]))
    answer = attributor.attribute(asked)
    wanted = expected(attributor, QUERY)
    rows = sorted(range(1, 90, 4), key=lambda row: -wanted[row])
    assert [each.row for each in answer.proponents or ()] == rows
    np.testing.assert_allclose([each.score for each in answer.proponents or ()], wanted[rows], atol=1e-5)


def test_a_set_blends_the_mean_influence_with_the_mean_similarity(attributor: Attributor) -> None:
    queries = [QUERY, {**OPEN, "label": 0}]
    answer = attributor.attribute(AttributionRequest(query_set=queries, baseline="blend", k=90))
    influence = attributor.scores(queries).astype(np.float64).mean(axis=0)
    items = [tiny_task.parse(tiny_task.Payload(**query)).item for query in queries]
    words = BASELINES["bm25"].fit(tiny_task.task()).scores(items).mean(axis=0)
    wanted = z(influence) + WEIGHT * z(words)
    rows = [each.row for each in answer.proponents or ()]
    np.testing.assert_allclose([each.score for each in answer.proponents or ()], wanted[rows], atol=1e-4)


def test_a_blend_shares_a_batch_with_other_questions(attributor: Attributor) -> None:
    attributor.similarities.offer(["bm25"])
    requests = [
        AttributionRequest(query=OPEN, baseline="blend"),
        AttributionRequest(query=QUERY),
        AttributionRequest(query=QUERY, baseline="bm25"),
        AttributionRequest(query=QUERY, baseline="blend"),
    ]
    alone = [attributor.attribute(request) for request in requests]
    together = attributor.answer([attributor.check(request) for request in requests])
    for one, other in zip(alone, together, strict=True):
        assert not isinstance(other, Exception)
        assert one.blend == other.blend
        assert [each.row for each in one.proponents or ()] == [each.row for each in other.proponents or ()]


def test_another_weight_computes_no_vector(tmp_path: Path) -> None:
    made = build(settings(tmp_path / "index", {"baseline": "bm25"}))
    assert made.fresh
    before = {path: path.stat().st_mtime_ns for path in made.path.rglob("*")}
    changed = build(settings(tmp_path / "index", {"baseline": "bm25", "weight": 2}))
    assert (changed.fresh, changed.path) == (False, made.path)
    assert {path: path.stat().st_mtime_ns for path in made.path.rglob("*")} == before
    answer = Attributor.open(made.path).attribute(QUERY, baseline="blend")
    assert answer.blend == Blend(baseline="bm25", weight=2)
    assert not build(settings(tmp_path / "index", None)).fresh
    assert not blend_path(made.path).exists()
    with pytest.raises(InvalidQuery, match=r"the index has no blend: write \[blend\]"):
        Attributor.open(made.path).attribute(QUERY, baseline="blend")


def test_python_builds_with_a_blend(tmp_path: Path) -> None:
    chosen = Blend(baseline="representation", weight=0.5)
    path = build_index(tiny_task.task(), "grad_dot", tmp_path / "index", BuildOptions(blend=chosen))
    answer = Attributor.open(path, task=tiny_task.task()).attribute(QUERY, baseline="blend")
    assert answer.blend == chosen


def test_weight_0_ranks_as_influence(tmp_path: Path) -> None:
    path = build(settings(tmp_path / "index", {"baseline": "representation", "weight": 0})).path
    attributor = Attributor.open(path)
    influence = attributor.attribute(QUERY, k=20)
    blended = attributor.attribute(QUERY, k=20, baseline="blend")
    assert [each.row for each in blended.proponents or ()] == [
        each.row for each in influence.proponents or ()
    ]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"query": QUERY, "shares": True}, "shares follow influence scores, never similarity"),
        ({"query": QUERY, "target": "margin"}, "expected target without a baseline"),
        ({"query": QUERY, "members": True}, "expected members without a baseline"),
        ({"query": QUERY, "drill_down": True}, "expected drill_down without a baseline"),
        ({"feature": [0.0] * 24}, "similarity compares items, not gradients or features"),
    ],
)
def test_what_only_influence_has_is_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidQuery, match=message):
        AttributionRequest(baseline="blend", **asked)


def test_a_blend_is_never_turned_into_shares(attributor: Attributor) -> None:
    with pytest.raises(InvalidQuery, match="shares follow influence scores, never similarity"):
        attributor.shares(AttributionRequest(query=QUERY, baseline="blend"))


def test_only_what_is_offered_is_answered(index: Path) -> None:
    opened = Attributor.open(index)
    with pytest.raises(InvalidQuery, match="start the service with `byline serve --baselines blend`"):
        opened.check(AttributionRequest(query=QUERY, baseline="blend"))


def test_a_damaged_setting_leaves_influence_alone(tmp_path: Path) -> None:
    path = build(settings(tmp_path / "index", {"baseline": "bm25"})).path
    blend_path(path).write_text("{")
    attributor = Attributor.open(path)
    assert attributor.attribute(QUERY).proponents
    with pytest.raises(InvalidQuery, match="expected a baseline and its weight: run `byline build` again"):
        attributor.attribute(QUERY, baseline="blend")


def test_groups_and_tasks_that_cannot_be_compared_are_refused_before_the_build(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected no \[blend\] beside \[groups\]"):
        settings(tmp_path / "index", {"baseline": "bm25"}, groups={"by": "owner"})
    for section in ({"baseline": "knn_shapley"}, {"baseline": "bm25", "weight": -1}, {"weight": 1}):
        with pytest.raises(ValueError, match="blend"):
            settings(tmp_path / "index", section)
    silent = replace(tiny_task.task(), text=None)
    with pytest.raises(InvalidTask, match=r"expected Task\.text"):
        build_index(silent, "grad_dot", tmp_path / "index", BuildOptions(blend=Blend(baseline="bm25")))
    assert not (tmp_path / "index").exists()


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


def test_the_command_line(
    index: Path, attributor: Attributor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("query", index, "--query", json.dumps(QUERY), "--baseline", "blend", "--json") == 0
    answer = attributor.attribute(AttributionRequest(query=QUERY, baseline="blend")).model_dump(mode="json")
    assert {**json.loads(capsys.readouterr().out), "timings": None} == {**answer, "timings": None}
    assert run("query", index, "--query", json.dumps(QUERY), "--baseline", "blend") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "by a blend (influence + 0.75 bm25), no attribution by gradients alone" in printed
    assert run("query", index, "--query", json.dumps(QUERY), "--baseline", "blend", "--shares") != 0
    assert "shares follow influence scores" in " ".join(capsys.readouterr().err.split())
    queries, out = tmp_path / "queries.jsonl", tmp_path / "scores.npy"
    queries.write_text("\n".join(map(json.dumps, [QUERY, {**OPEN, "label": 0}])))
    assert run("scores", index, "--queries", queries, "--out", out, "--baseline", "blend") == 0
    wanted = [expected(attributor, q) for q in (QUERY, {**OPEN, "label": 0})]
    np.testing.assert_allclose(np.load(out), wanted, atol=1e-5)


def test_scores_of_an_index_without_a_blend_are_refused(tmp_path: Path) -> None:
    path = build(settings(tmp_path / "index", None)).path
    with pytest.raises(InvalidQuery, match="the index has no blend"):
        write_scores(path, [AttributionRequest(query=QUERY)], tmp_path / "s.npy", baseline=Chosen("blend"))
    with AttributionIndex.open(path) as opened:
        assert opened.rows == 90
