"""Indexes of groups: sums of points, made either way; owners' shares; and the way back to points."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from byline.attribution import drill_down
from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline.errors import BylineError, InvalidQuery, InvalidTask
from byline.groups import GroupOptions, GroupPartition
from byline.index.index import AttributionIndex
from byline_indexer.build.build import build
from byline_indexer.build.estimate import estimate
from byline_indexer.build.partition import MOST_FOUND_ON, clustering_sample, partition
from byline_indexer.build.probe import chosen_micro_batch
from byline_indexer.config import BuildConfig
from byline_indexer.progress import Silent
from byline_indexer.units.plan import Numerics
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
NUMERICS = Numerics(block_rows=32, batch_rows=16, threads=1, device="cpu", precision="float32")


def built(folder: Path, name: str, groups: dict | None = None, **changes: object) -> AttributionIndex:
    config = {
        "task": f"{TASK}:task",
        "recipe": {"name": name, **RECIPES.get(name, {}), **changes},
        "index": {"path": folder, "dtype": "fp32"},
        "build": {"block_rows": 32, "batch_rows": 16},
        **({"groups": groups} if groups else {}),
    }
    return AttributionIndex.open(build(BuildConfig.model_validate(config)).path)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(("how", "size"), [("sums", 7), ("fast", 7), ("fast", 20)])
def test_a_groups_score_is_the_sum_of_its_points(name: str, how: str, size: int, tmp_path: Path) -> None:
    built(tmp_path / "points", name)
    # With micro-batches of one point the curvature is that of the points.
    groups = built(tmp_path / "groups", name, {"by": "random", "size": size, "build": how, "micro_batch": 1})
    assert groups.rows == -(-tiny_task.ROWS // size)
    assert groups.points == tiny_task.ROWS
    # The query side is the same to rounding, whichever way the rows were made, up to signs of eigenvectors.
    queries = Attributor.open(tmp_path / "points"), Attributor.open(tmp_path / "groups")
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


@pytest.mark.parametrize("of", ["inputs", "last_layer_gradients"])
def test_kmeans_puts_like_to_like(of: str) -> None:
    task = tiny_task.task()
    options = GroupOptions(by="kmeans", of=of, count=9)
    config = BuildConfig.model_validate(
        {"task": f"{TASK}:task", "recipe": {"name": "ekfac"}, "index": {"path": "x"}}
    )
    members = partition(task, config.recipe, options, NUMERICS, Silent())
    again = partition(task, config.recipe, options, NUMERICS, Silent())
    assert np.array_equal(members.rows_R, again.rows_R)
    assert 2 <= len(members) <= 9
    assert members.sizes.min() >= 1
    assert sorted(members.rows_R.tolist()) == list(range(tiny_task.ROWS))
    if of == "inputs":
        inputs = torch.stack([task.train_set[row][0] for row in range(tiny_task.ROWS)]).numpy()
        spread = sum(inputs[members[j]].var(axis=0).sum() * len(members[j]) for j in range(len(members)))
        assert spread < 0.75 * inputs.var(axis=0).sum() * tiny_task.ROWS


def test_kmeans_of_inputs_wants_them_of_one_size() -> None:
    task = tiny_task.task()
    mixed = [(torch.zeros(3 + row % 2), 0) for row in range(tiny_task.ROWS)]
    config = BuildConfig.model_validate(
        {"task": f"{TASK}:task", "recipe": {"name": "ekfac"}, "index": {"path": "x"}}
    )
    options = GroupOptions(by="kmeans", of="inputs", count=9)
    with pytest.raises(InvalidTask, match="got 3 to 4 numbers"):
        partition(replace(task, train_set=mixed), config.recipe, options, NUMERICS, Silent())


def test_kmeans_finds_its_centres_on_so_many_points() -> None:
    assert clustering_sample(10) == 640
    assert clustering_sample(100_000) == MOST_FOUND_ON
    assert clustering_sample(1 << 20) == 1 << 20


def test_columns_and_random_groups() -> None:
    task = tiny_task.task()
    config = BuildConfig.model_validate(
        {"task": f"{TASK}:task", "recipe": {"name": "ekfac"}, "index": {"path": "x"}}
    )
    by_label = partition(task, config.recipe, GroupOptions(by="label"), NUMERICS, Silent())
    assert len(by_label) == 3
    for j in range(3):
        assert len({task.describe(int(row)).label for row in by_label[j]}) == 1
    dealt = partition(task, config.recipe, GroupOptions(by="random", size=8), NUMERICS, Silent())
    assert set(dealt.sizes.tolist()) <= {7, 8}
    other = partition(task, config.recipe, GroupOptions(by="random", size=8, seed=1), NUMERICS, Silent())
    assert not np.array_equal(dealt.rows_R, other.rows_R)
    with pytest.raises(BylineError, match="attributes"):
        partition(task, config.recipe, GroupOptions(by="attributes.none"), NUMERICS, Silent())


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


@pytest.mark.parametrize("name", ["ekfac", "trak"])
@pytest.mark.parametrize(
    "groups",
    [
        {"by": "owner"},
        {"by": "random", "size": 7, "build": "fast"},
        {"by": "random", "size": 40, "build": "fast"},
        {"by": "kmeans", "of": "inputs", "count": 6},
    ],
)
def test_a_dry_run_counts_groups(name: str, groups: dict, tmp_path: Path) -> None:
    config = BuildConfig.model_validate(
        {
            "task": f"{TASK}:task",
            "recipe": {"name": name, **RECIPES[name]},
            "index": {"path": tmp_path},
            "build": {"block_rows": 32, "batch_rows": 16},
            "groups": groups,
        }
    )
    found = estimate(config)
    assert list(tmp_path.iterdir()) == []
    shard = (build(config).path / "vectors/00000.npy").stat().st_size
    # k-means may find fewer groups than it was asked for.
    assert found.vectors * (0.5 if groups["by"] == "kmeans" else 1) - 200 <= shard <= found.vectors + 200
    passes = {each.name: each.rows for each in found.passes}
    assert passes["group training points"] == tiny_task.ROWS
    assert ("weigh" in passes) == (name == "trak" and groups.get("build") == "fast")


def test_members_of_groups() -> None:
    members = GroupPartition.of(np.array([2, 0, 1, 0, 2, 2]))
    assert [members[j].tolist() for j in range(3)] == [[1, 3], [2], [0, 4, 5]]
    assert members.group_of_rows.tolist() == [2, 0, 1, 0, 2, 2]
    assert members.points(np.array([2, 0])).tolist() == [0, 4, 5, 1, 3]
