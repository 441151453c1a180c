"""Reported and tuning queries never meet, in one run or over several."""

import json
from pathlib import Path

import numpy as np
import pytest

from byline.errors import InvalidInput
from byline_indexer.evaluation.options import EvaluationOptions
from byline_indexer.evaluation.queries import REPORT, refuse_tuned, split, tuned_queries


@pytest.mark.parametrize("items", [2, 7, 150, 1000])
def test_reported_and_tuning_queries_are_apart(tmp_path: Path, items: int) -> None:
    found = split(items, EvaluationOptions(out=tmp_path))
    assert not set(found.reported) & set(found.tuning)
    assert len(found.tuning) == min(100, items // 2)
    assert len(found.reported) == min(100, items - len(found.tuning))
    assert all(np.diff(found.reported) > 0)


def test_another_seed_reports_others(tmp_path: Path) -> None:
    first, second = (split(300, EvaluationOptions(out=tmp_path, seed=seed)) for seed in (0, 1))
    assert first.reported.tolist() != second.reported.tolist()


def test_more_queries_than_items_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="got 10 items for 8 reported and 5 tuning"):
        split(10, EvaluationOptions(out=tmp_path, queries=8, tuning=5))


def test_queries_that_were_tuned_on_are_not_reported(tmp_path: Path) -> None:
    (tmp_path / REPORT).write_text(json.dumps({"evaluation": "digest", "tuned_on": [3, 5]}))
    assert tuned_queries(tmp_path, "digest") == {3, 5}
    refuse_tuned(tmp_path, "digest", np.array([1, 2, 4]))
    refuse_tuned(tmp_path, "another set", np.array([3]))
    with pytest.raises(InvalidInput, match="got 1 of 2 that `byline tune` chose by"):
        refuse_tuned(tmp_path, "digest", np.array([4, 5]))


@pytest.mark.parametrize("content", [None, "no JSON", "[]", "{}"])
def test_a_report_that_cannot_be_read_tells_nothing(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / REPORT).write_text(content)
    assert tuned_queries(tmp_path, "digest") == set()
