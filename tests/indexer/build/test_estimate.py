from pathlib import Path
from typing import Any

import pytest
import torch

from byline.models.member import MemberModel
from byline_indexer.build.build import build
from byline_indexer.build.estimate import estimate, stored_bytes
from tests.indexer.conftest import SMALL, Config


@pytest.mark.parametrize("recipe", sorted(SMALL))
def test_bytes_are_those_of_the_build_and_nothing_is_written(
    config: Config, tmp_path: Path, recipe: str
) -> None:
    found = estimate(config(recipe))
    assert list(tmp_path.iterdir()) == []
    built = build(config(recipe))
    shard = (built.path / "vectors/00000.npy").stat().st_size
    assert found.vectors == pytest.approx(shard, abs=200)
    assert found.search == pytest.approx((built.path / "search.faiss").stat().st_size, abs=200)


def test_passes_count_the_rows_of_all_members(config: Config) -> None:
    rows = {
        each.name: each.rows
        for each in estimate(config("trak", changes={"curvature": {"sample": 20}})).passes
    }
    assert rows["measure fisher"] == 40
    assert rows["project and emit"] == 180


@pytest.mark.parametrize(("labels", "fitted"), [("exact", 3), ("sampled", 1)])
def test_every_class_is_a_pass_of_an_exact_curvature(
    config: Config, monkeypatch: pytest.MonkeyPatch, labels: str, fitted: int
) -> None:
    """The trial takes the passes that the build takes: once a class for an exact fit, and for every leverage."""
    taken: list[tuple[str, int]] = []

    def watch(name: str) -> None:
        own = getattr(MemberModel, name)

        def watched(model: MemberModel, *arguments: Any) -> Any:
            made = list(own(model, *arguments))
            taken.append((name, len(made)))
            return iter(made)

        monkeypatch.setattr(MemberModel, name, watched)

    watch("label_gradients")
    watch("expected_gradients")
    estimate(config("logra", changes={"curvature": {"labels": labels}, "row_weight": "leverage"}))
    assert set(taken) == {("label_gradients", fitted), ("expected_gradients", 3)}


def test_time_and_memory_are_positive_and_threads_are_put_back(config: Config) -> None:
    before = torch.get_num_threads()
    found = estimate(config("ekfac", threads=2))
    assert torch.get_num_threads() == before
    assert found.seconds > 0
    assert found.memory > 1e7
    assert found.temporary > found.vectors + found.search


@pytest.mark.parametrize("keep", ["rows", "codes"])
@pytest.mark.parametrize("search", ["exact", "compressed"])
def test_bytes_of_every_storage(config: Config, search: str, keep: str) -> None:
    chosen = config("grad_dot", storage={"search": search, "keep": keep})
    built = build(chosen)
    vectors, size = stored_bytes(90, 48, chosen.index.storage())
    assert (built.path / "vectors").exists() == bool(vectors)
    assert size == pytest.approx((built.path / "search.faiss").stat().st_size, abs=1000)


def written(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ("logra", {"projection": {"size_in": 7, "size_out": 8}}),
        ("ekfac", {"projection": {"size": 24, "rank": 8}}),
        ("ekfac", {"projection": {"size": 24}, "pca": {"size": 12, "sample": 64}}),
        ("trak", {"projection": {"size": 200}}),
        ("grad_dot", {"projection": {"size": 400}}),
    ],
)
def test_all_bytes_of_the_index_are_foretold(config: Config, recipe: str, changes: dict[str, object]) -> None:
    chosen = config(recipe, changes=changes)
    found = estimate(chosen)
    built = build(chosen).path
    assert found.index == pytest.approx(written(built), rel=0.25)
    assert found.curvature == pytest.approx(written(built / "curvature"), rel=0.25, abs=4000)
    others = written(built) - written(built / "curvature") - written(built / "vectors")
    others -= (built / "search.faiss").stat().st_size
    assert found.others == pytest.approx(others, rel=0.25)
