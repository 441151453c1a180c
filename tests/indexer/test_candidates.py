"""A file of candidates is ranked line by line, and what is wrong is named by its line."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import byline
from byline.attribution.selection import SelectionOptions
from byline.errors import InvalidInput, InvalidQuery, NonFiniteGradient
from byline.index.layout import StorageOptions
from byline.recipes import recipe
from byline_indexer.candidates import (
    CandidateRanking,
    RankedCandidate,
    TargetChoice,
    rank_candidates,
    write_ranking,
)
from byline_indexer.cli.ranking_table import ranking_table
from tests.indexer import tiny_task

OPTIONS = byline.BuildOptions(storage=StorageOptions(dtype="fp32"))
MEMBERS = {"projection": {"size": 24}, "members": {"masks": 2}}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    (folder / "task.py").write_text(Path(tiny_task.__file__).read_text())
    task = f"{folder / 'task.py'}:trained_task"
    byline.build(task, recipe("ekfac", **MEMBERS), folder / "index", OPTIONS, progress=False)
    return folder / "index"


def payloads(rows: range, **more: object) -> list[dict[str, Any]]:
    points = tiny_task.task().train_set
    return [{"x": points[row][0].tolist(), "label": points[row][1], **more} for row in rows]


def write(path: Path, lines: list[Any]) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def rank(index: Path, data: Path, choice: TargetChoice | None = None, **options: Any) -> CandidateRanking:
    return rank_candidates(index, data, choice or TargetChoice(), SelectionOptions(**options))


def test_lines_have_the_scores_of_the_same_training_points(index: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "new.jsonl", payloads(range(12)))
    opened = byline.open(index)
    assert opened.task is not None
    assert opened.task.evaluation_set is not None
    expected = opened.item_scores(opened.task.evaluation_set).mean(axis=0)[:12]
    found = rank(index, data)
    assert [row.line for row in found.candidates] == (np.argsort(-expected) + 1).tolist()
    assert [row.rank for row in found.candidates] == list(range(1, 13))
    np.testing.assert_allclose([row.score for row in found.candidates], np.sort(expected)[::-1], rtol=1e-3)
    assert (found.unit, found.target, found.target_points) == ("nats", "loss", 20)
    for row in found.candidates:
        assert row.predicted_change == pytest.approx(-row.score / tiny_task.ROWS)
        assert row.standard_error is not None
    total = sum(row.predicted_change or 0.0 for row in found.candidates)
    assert found.candidates[-1].predicted_total == pytest.approx(total)


def test_metadata_stands_beside_the_payload(index: Path, tmp_path: Path) -> None:
    plain = write(tmp_path / "plain.jsonl", payloads(range(3)))
    described = payloads(range(3), owner="ada", license="MIT", uri="u", attributes={}, preview="p")
    for number, line in enumerate(described):
        line["id"] = f"own-{number}"
    found = rank(index, write(tmp_path / "described.jsonl", described))
    assert {row.id for row in found.candidates} == {"own-0", "own-1", "own-2"}
    assert [row.score for row in found.candidates] == [row.score for row in rank(index, plain).candidates]


def test_target_points_come_from_a_file_or_the_training_set(index: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "new.jsonl", payloads(range(5)))
    opened, labels = byline.open(index), [label for _, label in tiny_task.task().train_set]
    own = np.array([row % 4 == 1 for row in range(tiny_task.ROWS)])
    for choice, rows in (
        (TargetChoice(owner="owner-1"), np.flatnonzero(own)),
        (TargetChoice(label="2"), np.flatnonzero(np.array(labels) == 2)),
        (TargetChoice(file=write(tmp_path / "wanted.jsonl", payloads(range(30, 33)))), np.arange(30, 33)),
    ):
        points = tiny_task.task().train_set
        expected = opened.item_scores([points[row] for row in rows])[:, :5]
        found = rank(index, data, choice)
        by_line = {row.line: row.score for row in found.candidates}
        np.testing.assert_allclose(
            [by_line[n + 1] for n in range(5)], expected.mean(axis=0), rtol=1e-3, atol=1e-5
        )
        assert found.target_points == len(rows)
        largest = rank(index, data, choice, reduction="max")
        by_line = {row.line: row.score for row in largest.candidates}
        np.testing.assert_allclose(
            [by_line[n + 1] for n in range(5)], expected.max(axis=0), rtol=1e-3, atol=1e-5
        )
        assert all(row.predicted_total is None for row in largest.candidates)
        assert {row.target_point for row in largest.candidates} <= set(range(1, len(rows) + 1))


@pytest.mark.parametrize(
    ("lines", "error", "words"),
    [
        (["{", ""], InvalidInput, "line 2: expected a JSON object"),
        ([{"x": [0.0] * 5, "label": 1}], InvalidQuery, "line 2"),
        ([{"x": [0.0] * 6}], InvalidQuery, "line 2: expected a complete candidate"),
        ([{"x": [1e300] * 6, "label": 1}], NonFiniteGradient, "line 2"),
        ([{"x": [0.0] * 6, "label": 1, "colour": "red"}], InvalidQuery, "line 2"),
    ],
)
def test_a_wrong_line_is_named(
    index: Path, tmp_path: Path, lines: list[Any], error: type[Exception], words: str
) -> None:
    fine = json.dumps(payloads(range(1))[0])
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (tmp_path / "new.jsonl").write_text("\n".join([fine, *texts]))
    with pytest.raises(error, match=words) as caught:
        rank(index, tmp_path / "new.jsonl")
    assert "red" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_choices(index: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "new.jsonl", payloads(range(2)))
    with pytest.raises(InvalidInput, match="found none"):
        rank(index, data, TargetChoice(owner="nobody"))
    with pytest.raises(InvalidInput, match="got several"):
        TargetChoice(owner="ada", label="7")
    with pytest.raises(InvalidInput, match="got an empty file"):
        rank(index, write(tmp_path / "empty.jsonl", []))
    with pytest.raises(InvalidInput, match="a candidate a line, as UTF-8 JSON"):
        rank(index, tmp_path / "missing.jsonl")
    found = rank(index, data)
    with pytest.raises(InvalidInput, match=r"end with \.csv or \.json"):
        write_ranking(found, tmp_path / "ranking.txt")
    with pytest.raises(InvalidInput, match="expected a folder"):
        write_ranking(found, tmp_path / "no" / "ranking.csv")


def test_progress_is_told(index: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    class Watching:
        def progress(self, phase: str, done: int, total: int) -> None:
            told.append((phase, done, total))

        def message(self, message: str) -> None:
            raise AssertionError(message)

    data = write(tmp_path / "new.jsonl", payloads(range(9)))
    rank_candidates(index, data, TargetChoice(), SelectionOptions(batch=2), Watching())
    assert told == [("score candidates", done, 9) for done in range(10)]


def test_a_ranking_is_written_as_csv_and_json(index: Path, tmp_path: Path) -> None:
    found = rank(index, write(tmp_path / "new.jsonl", payloads(range(4), id="own")))
    write_ranking(found, tmp_path / "ranking.csv")
    with (tmp_path / "ranking.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["line"]) for row in rows] == [row.line for row in found.candidates]
    assert [float(row["predicted_change"]) for row in rows] == [r.predicted_change for r in found.candidates]
    assert rows[0]["target_point"] == ""
    write_ranking(found, tmp_path / "ranking.json")
    document = json.loads((tmp_path / "ranking.json").read_text())
    assert document["unit"] == "nats"
    assert document["candidates"][0] == vars(found.candidates[0])
    assert {*rows[0]} == {*RankedCandidate.__dataclass_fields__}


def test_the_table_shows_what_there_is(index: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "new.jsonl", payloads(range(4)))
    table = ranking_table(rank(index, data), 3)
    headers = [str(column.header) for column in table.columns]
    assert headers == ["rank", "line", "id", "score", "±", "predicted change (nats)", "of all down to here"]
    assert table.row_count == 3
    assert "first order" in str(table.caption)
    by_point = ranking_table(rank(index, data, reduction="max"), 3)
    assert str(by_point.columns[-1].header) == "target point"
