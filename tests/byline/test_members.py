"""Members: checkpoints x masks, named and ordered."""

from pathlib import Path

import numpy as np
import pytest

from byline.errors import InvalidRecipe, InvalidTask
from byline.index.index import AttributionIndex
from byline.loading.task_file import load_task
from byline.members import Member, MemberPlan, run_time
from byline.task import Checkpoint
from byline_indexer.build.build import build
from byline_indexer.config import BuildConfig
from byline_indexer.scores import score_items
from tests.indexer.conftest import TINY


def test_checkpoints_times_masks() -> None:
    members = MemberPlan(checkpoints=(2, 0), masks=2, mask_seed=5).members(3)
    assert members == (Member(2, 5), Member(2, 6), Member(0, 5), Member(0, 6))
    assert [m.name for m in members] == ["c2-m5", "c2-m6", "c0-m5", "c0-m6"]


def test_the_default_is_every_checkpoint_whole() -> None:
    assert [m.name for m in MemberPlan().members(2)] == ["c0", "c1"]


@pytest.mark.parametrize("checkpoints", [(), (0, 0), (2,), (-1,)])
def test_wrong_positions_are_refused(checkpoints: tuple[int, ...]) -> None:
    with pytest.raises(InvalidRecipe, match="different positions below 2"):
        MemberPlan(checkpoints=checkpoints).members(2)


def test_the_time_of_a_run_is_declared_or_named() -> None:
    whole = Checkpoint(weights="a.pt", learning_rate=0.5, steps=40)  # type: ignore[arg-type]
    rate = Checkpoint(weights="b.pt", learning_rate=0.5)  # type: ignore[arg-type]
    none = Checkpoint(weights="c.pt")  # type: ignore[arg-type]
    assert run_time(Member(0), [whole, rate, none]) == 20.0
    for place, missing in ((1, r"Checkpoint\.steps on"), (2, r"learning_rate and Checkpoint\.steps on")):
        with pytest.raises(InvalidTask, match=missing + f" checkpoint {place}.*filter = 'finite_run'"):
            run_time(Member(place), [whole, rate, none])


def test_tracin_is_the_sum_over_checkpoints_divided_by_the_sum_of_their_rates(tmp_path: Path) -> None:
    """The sum itself ranks the same; as a mean, a score is in the unit of one checkpoint's, however many there are."""
    loaded = load_task(f"{TINY}:task")
    rates = [checkpoint.learning_rate for checkpoint in loaded.task.checkpoints]
    queries = [loaded.task.train_set[row] for row in (2, 40)]

    def scores(folder: str, name: str, **members: object) -> np.ndarray:
        config = {
            "task": f"{TINY}:task",
            "recipe": {"name": name, "projection": {"kind": "identity"}, "members": members},
            "index": {"path": tmp_path / folder, "dtype": "fp32"},
            "build": {"block_rows": 32, "batch_rows": 16},
        }
        index = AttributionIndex.open(build(BuildConfig.model_validate(config), loaded=loaded).path)
        return score_items(index, loaded.task, queries, "loss").astype(float)

    each = [scores(f"c{place}", "grad_dot", checkpoints=[place]) for place in range(2)]
    summed = sum(rate * one for rate, one in zip(rates, each, strict=True))
    found = scores("tracin", "tracin", weights="learning_rate")
    assert np.abs(found * sum(rates) - summed).max() <= 1e-4 * np.abs(summed).max()
