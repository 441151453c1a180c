"""A drill-down gives each point of a group its own score."""

from pathlib import Path

import numpy as np
import pytest

from byline.attribution import drill_down
from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline.errors import InvalidQuery
from tests.indexer import tiny_task
from tests.indexer.build.test_group_rows import QUERY, RECIPES, built


@pytest.mark.parametrize("name", RECIPES)
def test_a_drill_down_gives_the_points_own_scores(name: str, tmp_path: Path) -> None:
    built(tmp_path / "points", name)
    built(tmp_path / "groups", name, {"by": "random", "size": 7})
    exact = Attributor.open(tmp_path / "points").attribute(AttributionRequest(query=QUERY, k=tiny_task.ROWS))
    by_row = {each.row: each for each in exact.proponents}
    drilled = Attributor.open(tmp_path / "groups")
    answer = drilled.attribute(
        AttributionRequest(query=QUERY, k=9, drill_down=True, drill_groups=3, direction="both")
    )
    assert answer.unit == "point"
    assert answer.drilled_groups == 6
    assert answer.coverage.searched < answer.coverage.total == tiny_task.ROWS
    assert not answer.coverage.complete
    for each in (*answer.proponents, *answer.opponents):
        assert each.example.id == f"point-{each.row}"
        assert each.score == pytest.approx(by_row[each.row].score, rel=1e-3, abs=1e-5)
        if each.standard_error is not None:
            assert each.standard_error == pytest.approx(by_row[each.row].standard_error, rel=1e-2, abs=1e-5)
    scores = [each.score for each in answer.proponents]
    assert scores == sorted(scores, reverse=True)
    again = drilled.attribute(AttributionRequest(query=QUERY, k=9, drill_down=True, drill_groups=13))
    best = sorted(by_row.values(), key=lambda each: -each.score)[:9]
    assert [each.row for each in again.proponents] == [each.row for each in best]
    assert again.coverage.complete


def test_where_drilling_is_refused(tmp_path: Path) -> None:
    built(tmp_path / "points", "ekfac")
    with pytest.raises(InvalidQuery, match="every row of this index is a training point"):
        Attributor.open(tmp_path / "points").check(AttributionRequest(query=QUERY, drill_down=True))
    index = built(tmp_path / "groups", "ekfac", {"by": "random", "count": 5})
    feature = np.ones(index.width)
    bare = Attributor.open_without_task(tmp_path / "groups")
    with pytest.raises(InvalidQuery, match="without its Task"):
        bare.check(AttributionRequest(feature=feature, drill_down=True))


def test_a_drill_down_leaves_out_what_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = built(tmp_path, "ekfac", {"by": "owner"})
    asked = AttributionRequest(query=QUERY, k=5, drill_down=True, drill_groups=4, direction="both")
    sizes = np.sort(index.groups.sizes)
    monkeypatch.setattr(drill_down, "MOST_POINTS", int(sizes[0]) + int(sizes[1]))
    attributor = Attributor.open(tmp_path)
    assert attributor.check(asked).drilled == sizes[0] + sizes[1]
    answer = attributor.attribute(asked)
    assert 1 <= answer.drilled_groups <= 2
    assert answer.coverage.searched <= sizes[0] + sizes[1]
    monkeypatch.setattr(drill_down, "MOST_POINTS", 1)
    with pytest.raises(InvalidQuery, match="only larger ones"):
        attributor.attribute(asked)


def test_a_group_that_is_not_kept_scores_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built(tmp_path, "ekfac", {"by": "random", "size": 40})
    asked = AttributionRequest(query=QUERY, k=20, drill_down=True, drill_groups=2)
    kept = Attributor.open(tmp_path).attribute(asked)
    monkeypatch.setattr(drill_down, "CACHE_BYTES", 64)
    passing = Attributor.open(tmp_path)
    for _ in range(2):
        answer = passing.attribute(asked)
        assert [each.row for each in answer.proponents] == [each.row for each in kept.proponents]
        assert [each.score for each in answer.proponents] == pytest.approx(
            [each.score for each in kept.proponents], rel=1e-6
        )


def test_a_drill_down_costs_what_it_differentiates(tmp_path: Path) -> None:
    built(tmp_path, "ekfac", {"by": "random", "size": 10})
    attributor = Attributor.open(tmp_path)
    plain = attributor.check(AttributionRequest(query=QUERY))
    drilled = attributor.check(
        AttributionRequest(query=QUERY, drill_down=True, drill_groups=2, direction="both")
    )
    assert drilled.cost == plain.cost + 40
