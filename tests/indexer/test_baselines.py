"""Baselines on a built index: the command line, the library, and what is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from byline.__main__ import main
from byline.api.query import Filter
from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline.baselines import BASELINES, FitOptions
from byline.errors import InvalidInput, InvalidQuery, StaleIndex
from byline.task import Task
from byline_indexer.build.build import build
from byline_indexer.config import BuildConfig
from byline_indexer.scores import Chosen, write_scores
from tests.indexer import tiny_task
from tests.indexer.conftest import SMALL, TINY

QUERY = {"x": [1, -1, 0.5, 0, 2, -0.5], "label": 1}
OPEN = {"x": [0.5, 1, -0.5, 2, -2, 0.25]}


def built(folder: Path, **groups: Any) -> Path:
    config = {
        "task": f"{TINY}:task",
        "recipe": {"name": "trak", **SMALL["trak"]},
        "index": {"path": folder},
        **({"groups": groups} if groups else {}),
    }
    return build(BuildConfig.model_validate(config)).path


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("points") / "index")


@pytest.fixture(scope="module")
def attributor(index: Path) -> Attributor:
    opened = Attributor.open(index)
    opened.similarities.offer(["bm25", "representation"])
    return opened


def expected(name: Any, query: dict[str, Any] = QUERY, **fitting: Any) -> np.ndarray:
    task = tiny_task.task()
    item = tiny_task.parse(tiny_task.Payload(**query)).item
    return np.asarray(BASELINES[name].fit(task, FitOptions(**fitting)).scores([item])[0])


def order(scores: np.ndarray, *, smallest: bool = False) -> list[int]:
    return sorted(range(len(scores)), key=lambda row: (scores[row] if smallest else -scores[row], row))


@pytest.mark.parametrize("name", ["bm25", "representation"])
def test_an_answer_names_the_baseline_and_claims_nothing_else(attributor: Attributor, name: Any) -> None:
    answer = attributor.attribute(AttributionRequest(query=QUERY, baseline=name, k=20, direction="both"))
    scores = expected(name)
    assert answer.proponents is not None
    assert answer.opponents is not None
    assert [each.row for each in answer.proponents] == order(scores)[:20]
    assert [each.row for each in answer.opponents] == order(scores, smallest=True)[:20]
    assert [each.score for each in answer.proponents] == sorted(scores, reverse=True)[:20]
    assert all(each.standard_error is None for each in (*answer.proponents, *answer.opponents))
    assert answer.baseline == name
    assert answer.recipe is answer.recipe_fingerprint is answer.target is answer.standard_error_scope is None
    assert answer.exact
    assert answer.coverage.complete
    assert answer.stands_out.proponents is None
    assert answer.proponents[0].example.id == f"point-{answer.proponents[0].row}"


def test_influence_says_that_it_is_none(attributor: Attributor) -> None:
    answer = attributor.attribute(AttributionRequest(query=QUERY))
    assert answer.baseline is None
    assert answer.recipe == "trak"


def test_the_models_own_prediction_completes_the_query(attributor: Attributor) -> None:
    answer = attributor.attribute(AttributionRequest(query=OPEN, baseline="bm25"))
    assert answer.prediction is not None
    assert answer.prediction_member == "c0"


def test_a_filter_masks_rows(attributor: Attributor) -> None:
    chosen = Filter(owner=["owner-1"], label=["2"])
    answer = attributor.attribute(AttributionRequest(query=QUERY, baseline="bm25", k=100, filter=chosen))
    task, scores = tiny_task.task(), expected("bm25")
    matching = [row for row in order(scores) if row % 4 == 1 and task.describe(row).label == "2"]
    assert answer.proponents is not None
    assert [each.row for each in answer.proponents] == matching
    assert answer.coverage.searched == len(matching) < answer.coverage.total
    nobody = AttributionRequest(query=QUERY, baseline="bm25", filter=Filter(owner=["nobody"]))
    assert attributor.attribute(nobody).proponents == ()


def test_a_set_is_ranked_by_its_mean(attributor: Attributor) -> None:
    asked = AttributionRequest(query_set=[QUERY, {**OPEN, "label": 0}], baseline="representation", k=90)
    answer = attributor.attribute(asked)
    mean = (expected("representation") + expected("representation", {**OPEN, "label": 0})) / 2
    assert answer.proponents is not None
    assert [each.row for each in answer.proponents] == order(mean)


def test_questions_of_both_kinds_share_a_batch(attributor: Attributor) -> None:
    requests = [
        AttributionRequest(query=QUERY, baseline="bm25"),
        AttributionRequest(query=QUERY),
        AttributionRequest(query=QUERY, baseline="representation"),
    ]
    alone = [attributor.attribute(request) for request in requests]
    together = attributor.answer([attributor.check(request) for request in requests])
    for one, other in zip(alone, together, strict=True):
        assert not isinstance(other, Exception)
        assert one.model_dump(exclude={"timings"}) == other.model_dump(exclude={"timings"})


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"query": QUERY, "shares": True}, "shares follow influence scores, never similarity"),
        ({"query": QUERY, "target": "margin"}, "expected target without a baseline"),
        ({"query": QUERY, "members": True}, "expected members without a baseline"),
        ({"query": QUERY, "drill_down": True}, "expected drill_down without a baseline"),
        ({"feature": [0.0] * 24}, "similarity compares items, not gradients or features"),
        ({"gradient": {}}, "similarity compares items, not gradients or features"),
    ],
)
def test_what_only_influence_has_is_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidQuery, match=message):
        AttributionRequest(baseline="bm25", **asked)


def test_only_what_is_offered_is_answered(index: Path) -> None:
    attributor = Attributor.open(index)
    with pytest.raises(InvalidQuery, match="start the service with `byline serve --baselines bm25`"):
        attributor.check(AttributionRequest(query=QUERY, baseline="bm25"))
    with pytest.raises(InvalidQuery, match="knn_shapley is offered by `byline scores` only"):
        attributor.check(AttributionRequest(query=QUERY, baseline="knn_shapley"))  # type: ignore[arg-type]
    bare = Attributor.open_without_task(index)
    bare.similarities.offer(["bm25"])
    assert bare.similarities.offered == ()
    with pytest.raises(InvalidQuery, match="it was opened without its Task"):
        bare.check(AttributionRequest(query=QUERY, baseline="bm25"))


@pytest.mark.parametrize(("field", "name"), [("text", "bm25"), ("representation", "representation")])
def test_a_task_that_does_not_declare_it(index: Path, field: str, name: Any) -> None:
    attributor = Attributor.open(index, task=replace(tiny_task.task(), **{field: None}))
    attributor.similarities.offer([name])
    with pytest.raises(InvalidQuery, match=rf"expected Task\.{field}"):
        attributor.check(AttributionRequest(query=QUERY, baseline=name))


def test_other_data_than_the_indexs_is_refused(index: Path) -> None:
    task: Task = tiny_task.task()
    attributor = Attributor.open(index, task=replace(task, train_set=[task.train_set[0]]))
    attributor.similarities.offer(["bm25"])
    with pytest.raises(StaleIndex, match="90 training points, as the index has rows, got 1"):
        attributor.attribute(AttributionRequest(query=QUERY, baseline="bm25"))


def test_an_index_of_groups_ranks_no_points(tmp_path: Path) -> None:
    groups = built(tmp_path / "groups", by="owner")
    attributor = Attributor.open(groups)
    attributor.similarities.offer(["bm25"])
    with pytest.raises(InvalidQuery, match="its rows are groups of them: build an index without groups"):
        attributor.check(AttributionRequest(query=QUERY, baseline="bm25"))
    with pytest.raises(InvalidInput, match="got one of groups"):
        write_scores(groups, [AttributionRequest(query=QUERY)], tmp_path / "s.npy", baseline=Chosen("bm25"))


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process; gives exit code and output."""

    def call(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out + captured.err

    return call


@pytest.mark.parametrize("name", ["bm25", "representation"])
def test_the_command_line_gives_the_librarys_answer(
    index: Path, attributor: Attributor, name: Any, run: Run
) -> None:
    code, text = run("query", index, "--query", json.dumps(QUERY), "--baseline", name, "--json")
    assert code == 0
    answer = attributor.attribute(AttributionRequest(query=QUERY, baseline=name)).model_dump(mode="json")
    printed = json.loads(text)
    assert {**printed, "timings": None} == {**answer, "timings": None}
    code, text = run("query", index, "--query", json.dumps(QUERY), "--baseline", name)
    assert code == 0
    assert f"by similarity ({name})" in " ".join(text.split())


def test_scores_of_every_baseline(index: Path, tmp_path: Path, run: Run) -> None:
    queries, out = tmp_path / "queries.jsonl", tmp_path / "scores.npy"
    queries.write_text("\n".join(map(json.dumps, [QUERY, {**OPEN, "label": 0}])))
    for name in BASELINES:
        code, text = run(
            "scores", index, "--queries", queries, "--out", out, "--baseline", name, "--neighbors", 2
        )
        assert code == 0, text
        found = np.load(out)
        assert found.dtype == np.float32
        wanted = [expected(name, q, neighbors=2) for q in (QUERY, {**OPEN, "label": 0})]
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)


def test_refusals_on_the_command_line(index: Path, run: Run) -> None:
    code, text = run("query", index, "--query", json.dumps(QUERY), "--baseline", "bm25", "--shares")
    assert code != 0
    assert "shares follow influence scores, never similarity" in " ".join(text.split())
