"""Indexes of groups: sums of points, made either way; owners' shares; and the way back to points."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline.errors import BylineError, InvalidQuery
from byline.index.index import AttributionIndex
from byline_indexer.build.build import build
from byline_indexer.build.probe import chosen_micro_batch
from byline_indexer.config import BuildConfig
from tests.indexer import tiny_task

TASK = Path(tiny_task.__file__)
RECIPES = {
    "ekfac": {"projection": {"size": 64}},
    "tracin": {"projection": {"size": 32}},
    "trak": {"projection": {"size": 24}},
    "ekfac_margin": {"projection": {"size": 64}, "members": {"masks": 2}},
    "if_cg": {"projection": {"size": 24}},
    "trackstar": {"projection": {"size_in": 4, "size_out": 4}, "unit_norm": False},
}
QUERY = {"x": [0.1, -0.4, 1.2, 0.3, -0.8, 0.5], "label": 1}


def built(folder: Path, name: str, groups: dict | None = None, **changes: object) -> AttributionIndex:
    config = {
        "task": f"{TASK}:task",
        "recipe": {"name": name, **RECIPES.get(name, {}), **changes},
        "index": {"path": folder, "dtype": "fp32"},
        "build": {"block_rows": 32, "batch_rows": 16},
        **({"groups": groups} if groups else {}),
    }
    return AttributionIndex.open(build(BuildConfig.model_validate(config)).path)


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the index of points of a recipe, built once."""

    @cache
    def build_points(name: str) -> Path:
        path = tmp_path_factory.mktemp(name) / "points"
        built(path, name)
        return path

    return build_points


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(
    ("how", "size"), [("sums", 7), ("fast", 7), pytest.param("fast", 20, marks=pytest.mark.slow)]
)
def test_a_groups_score_is_the_sum_of_its_points(
    name: str, how: str, size: int, points: Callable[[str], Path], tmp_path: Path
) -> None:
    # With micro-batches of one point the curvature is that of the points.
    groups = built(tmp_path / "groups", name, {"by": "random", "size": size, "build": how, "micro_batch": 1})
    assert groups.rows == -(-tiny_task.ROWS // size)
    assert groups.points == tiny_task.ROWS
    # The query side is the same to rounding, whichever way the rows were made, up to signs of eigenvectors.
    queries = Attributor.open(points(name)), Attributor.open(tmp_path / "groups")
    for chosen in ({"query": QUERY}, {"query": {**QUERY, "label": 2}}):
        one = queries[0].attribute(AttributionRequest(**chosen, k=tiny_task.ROWS))
        other = queries[1].attribute(AttributionRequest(**chosen, k=groups.rows))
        by_row = {each.row: each.score for each in one.proponents}
        expected = np.array([sum(by_row[int(r)] for r in groups.groups[j]) for j in range(groups.rows)])
        found = np.array([s.score for s in sorted(other.proponents, key=lambda each: each.row)])
        assert np.abs(found - expected).max() <= 2e-4 * np.abs(list(by_row.values())).max() * size
        assert other.unit == "group"
        assert other.coverage.total == tiny_task.ROWS
        assert [each.standard_error is None for each in other.proponents] == [name == "tracin"] * groups.rows


@pytest.mark.parametrize(
    ("source", "sample", "rows", "expected"),
    [
        ("projected", None, 300, 1),
        ("projected", None, 600, 1),
        ("projected", None, 1_999, 1),
        ("projected", None, 2_000, 2),
        ("projected", None, 4_000, 4),
        ("projected", None, 10_000, 8),
        ("projected", None, 1_000_000, 8),
        ("projected", 3_000, 1_000_000, 3),
        ("gradients", None, 300, 8),
    ],
)
def test_micro_batches_leave_a_matrix_enough_sums(
    source: str, sample: int | None, rows: int, expected: int
) -> None:
    statistic: Any = SimpleNamespace(source=source, sample=sample)
    assert chosen_micro_batch(statistic, rows) == expected


@dataclass
class Heard:
    """Keeps what it is told."""

    said: list[str] = field(default_factory=list)

    def progress(self, phase: str, done: int, total: int) -> None:
        """Nothing."""

    def message(self, message: str) -> None:
        self.said.append(message)


@pytest.mark.parametrize("name", ["trak", "logra", "ekfac"])
def test_a_fast_build_of_few_points_agrees_with_sums_unless_it_is_told_otherwise(
    name: str, tmp_path: Path
) -> None:
    asked = AttributionRequest(query=QUERY, k=tiny_task.ROWS)
    found: dict[str, np.ndarray] = {}
    said: dict[str, list[str]] = {}
    options: dict[str, dict] = {"sums": {"build": "sums"}, "fast": {}, "coarse": {"micro_batch": 8}}
    for words, changes in options.items():
        heard = Heard()
        config = BuildConfig.model_validate(
            {
                "task": f"{TASK}:task",
                "recipe": {"name": name, "members": {"checkpoints": [0]}},
                "index": {"path": tmp_path / words, "dtype": "fp32"},
                "build": {"block_rows": 32, "batch_rows": 16},
                "groups": {"by": "random", "size": 4, "build": "fast", **changes},
            }
        )
        build(config, heard)
        ranked = Attributor.open(tmp_path / words).attribute(asked).proponents
        found[words] = np.array([each.score for each in sorted(ranked, key=lambda each: each.row)])
        said[words] = heard.said
    agreement = {words: np.corrcoef(scores, found["sums"])[0, 1] for words, scores in found.items()}
    assert agreement["fast"] >= 0.95
    assert not said["fast"]
    assert not said["sums"]
    if name != "ekfac":  # a diagonal needs few sums
        assert agreement["coarse"] < 0.95
        assert "micro_batch = 8 leaves 12 sums" in said["coarse"][0]


def test_groups_by_owner_share_like_points(tmp_path: Path) -> None:
    built(tmp_path / "points", "ekfac")
    index = built(tmp_path / "groups", "ekfac", {"by": "owner"})
    assert index.rows == 4
    asked = AttributionRequest(query=QUERY, shares=True)
    one, other = (Attributor.open(tmp_path / name).attribute(asked) for name in ("points", "groups"))
    assert [s.owner for s in one.shares.owners] == [s.owner for s in other.shares.owners]
    for a, b in zip(one.shares.owners, other.shares.owners, strict=True):
        assert b.score == pytest.approx(a.score, rel=1e-3, abs=1e-5)
        assert a.examples == b.examples
    assert other.proponents[0].example.id.startswith("owner:owner-")
    assert other.shares.coverage.complete


def test_groups_that_mix_owners_have_no_shares(tmp_path: Path) -> None:
    built(tmp_path, "ekfac", {"by": "random", "count": 5})
    attributor = Attributor.open(tmp_path)
    attributor.warm()
    with pytest.raises(InvalidQuery, match=r"groups\.by = 'owner'"):
        attributor.attribute(AttributionRequest(query=QUERY, shares=True))


@pytest.mark.parametrize(
    ("recipe", "groups", "words"),
    [
        ({"name": "grad_cos"}, {"by": "owner"}, "do not add up"),
        ({"name": "datainf"}, {"by": "owner"}, "one_sided"),
        ({"name": "rif"}, {"by": "owner"}, "leverage"),
        ({"name": "trackstar"}, {"by": "owner", "build": "fast"}, "do not add up"),
        ({"name": "less", "unit_norm": False}, {"by": "owner"}, "optimizer step"),
        ({"name": "less", "unit_norm": False}, {"by": "owner", "build": "fast"}, "optimizer step"),
        ({"name": "relatif"}, {"by": "owner", "build": "fast"}, "take 'sums'"),
        (
            {"name": "datainf", "sides": "two_sided"},
            {"by": "owner", "build": "fast"},
            r"micro_batch = 1",
        ),
        ({"name": "datainf", "curvature": {"labels": "exact"}}, {"by": "owner"}, "'given' or 'sampled'"),
        ({"name": "ekfac"}, {"by": "owner", "size": 4}, "exactly one|none"),
        ({"name": "ekfac"}, {"by": "kmeans"}, "exactly one"),
        ({"name": "ekfac"}, {"by": "colour"}, "pattern"),
    ],
)
def test_what_does_not_add_up_is_refused(recipe: dict, groups: dict, words: str) -> None:
    with pytest.raises((BylineError, ValueError), match=words):
        BuildConfig.model_validate(
            {"task": f"{TASK}:task", "recipe": recipe, "index": {"path": "x"}, "groups": groups}
        )
