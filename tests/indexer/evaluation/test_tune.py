"""Tuning looks at the tuning queries alone, and prints lines that give the recipe it chose."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from byline.errors import InvalidInput
from byline.index.index import AttributionIndex
from byline_indexer.build.build import build
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.costs import Budget
from byline_indexer.evaluation.evaluate import evaluate
from byline_indexer.evaluation.grid import Grid, Masks, Models, Size
from byline_indexer.evaluation.options import EvaluationOptions
from byline_indexer.evaluation.queries import split
from byline_indexer.evaluation.tune import tune

GRID = Grid(
    rows=("kfac",),
    signals=("loss", "margin"),
    dampings=(0.05, 30.0),
    sizes=(Size(coordinates=8),),
    checkpoints=(Models(),),
    masks=(Masks(),),
    refine=(0,),
    weights=(0.0,),
)


@pytest.fixture
def config(kfac_config: BuildConfig) -> BuildConfig:
    return kfac_config


@pytest.mark.slow
def test_the_best_is_found_on_the_tuning_queries_alone(
    config: BuildConfig,
    options: EvaluationOptions,
    trainings: Callable[[], list[str]],
    tmp_path: Path,
) -> None:
    evaluate(config, options)
    trained = len(trainings())
    tuned = tune(config, options, GRID)
    assert len(trainings()) == trained
    assert {(t.candidate.recipe.train_signal, t.candidate.recipe.curvature.damping) for t in tuned.tried} == {
        ("loss", 0.05), ("loss", 30.0), ("margin", 0.05), ("margin", 30.0),
    }  # fmt: skip
    assert tuned.best.lds == max(each.lds for each in tuned.tried)
    # Without the reported queries' truth the answer is the same: it was never looked at.
    truth = dict(np.load(tmp_path / "out" / "truth-lds.npz"))
    chosen = split(12, options)
    truth["outputs"][:, :, chosen.reported] = np.nan
    np.savez(tmp_path / "blind.npz", **truth)
    blind = options.model_copy(update={"truth": tmp_path / "blind.npz", "out": tmp_path / "blind"})
    assert [each.lds for each in tune(config, blind, GRID).tried] == [each.lds for each in tuned.tried]
    with pytest.raises(InvalidInput, match="finite"):
        evaluate(config, blind)


def test_a_candidates_lds_is_evaluates_of_the_same_recipe_and_queries(
    config: BuildConfig, options: EvaluationOptions
) -> None:
    tuned = tune(config, options.model_copy(update={"tuning": 12 - 1, "queries": 1}), GRID)
    first = tuned.tried[0].candidate
    assert first.recipe == config.recipe
    reported = options.model_copy(update={"queries": 12, "tuning": 0})
    for seed in (0, 1):
        with pytest.raises(InvalidInput, match=r"1[01] of 12 that `byline tune` chose by"):
            evaluate(config, reported.model_copy(update={"seed": seed}))
    reported = reported.model_copy(update={"out": options.out / "elsewhere"})
    details = evaluate(config, reported).measured.details
    tuning = set(split(12, options.model_copy(update={"tuning": 11, "queries": 1})).tuning.tolist())
    expected = [each["spearman"] for each in details if each["item"] in tuning and not each["dropped"]]
    assert tuned.tried[0].lds == pytest.approx(np.mean(expected))
    assert tuned.queries == len(expected)


def test_scores_are_kept_and_indexes_are_not(
    config: BuildConfig, options: EvaluationOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tune(config, options, GRID)
    assert not (options.out / "candidate").exists()
    assert not config.index.path.exists()
    monkeypatch.setattr("byline_indexer.evaluation.trials.build", None)
    again = tune(config, options, GRID)
    assert [(t.candidate, t.cost, t.lds) for t in again.tried] == [
        (t.candidate, t.cost, t.lds) for t in first.tried
    ]


def test_without_tuning_queries_there_is_nothing_to_tune_on(
    config: BuildConfig, options: EvaluationOptions
) -> None:
    with pytest.raises(InvalidInput, match="--tuning 0"):
        tune(config, options.model_copy(update={"tuning": 0}), GRID)


def test_tuning_leaves_the_build_files_index_as_it_is(
    config: BuildConfig, options: EvaluationOptions
) -> None:
    before = build(config).path
    tune(config, options, GRID.model_copy(update={"signals": ("loss",), "dampings": (0.5,)}))
    with AttributionIndex.open(config.index.path) as index:
        assert index.path == before
        assert index.quality.card is None


def test_the_report_has_costs_baselines_and_the_lines_to_use(
    config: BuildConfig, options: EvaluationOptions
) -> None:
    tuned = tune(config, options, GRID.model_copy(update={"weights": (0.5, 1.0)}))
    report = json.loads((options.out / "tuning.json").read_text())
    assert len(report["candidates"]) == len(tuned.tried) == 4 + 2 * 2
    for record, trial in zip(report["candidates"], tuned.tried, strict=True):
        assert record["lds"] == trial.lds
        assert record["bytes_per_row"] == trial.cost.row_bytes > 0
        assert record["milliseconds"] == trial.cost.milliseconds > 0
    assert set(report["baselines"]) == {"bm25", "representation"}
    assert report["best"] == {"build_file": tuned.best.candidate.toml(), "refine": 0, "within_budget": True}
    assert tuned.pareto[0].lds == tuned.best.lds
    assert tuned.interval is not None
    assert tuned.interval.low <= tuned.best.lds <= tuned.interval.high
    assert {trial.candidate.blend.baseline for trial in tuned.tried if trial.candidate.blend} == {
        "bm25",
        "representation",
    }


def test_the_choice_is_within_the_budget(config: BuildConfig, options: EvaluationOptions) -> None:
    grid = GRID.model_copy(update={"signals": ("loss",), "sizes": (Size(coordinates=8), Size(coordinates=4))})
    free = tune(config, options, grid)
    costs = sorted({trial.cost.row_bytes for trial in free.tried})
    budget = Budget(row_bytes=int(costs[-1]) - 1)
    tight = tune(config, options, grid, budget)
    assert tight.within
    assert tight.best.cost.row_bytes < costs[-1]
    assert tight.best.lds == max(each.lds for each in tight.tried if budget.allows(each.cost))
    nothing = tune(config, options, grid, Budget(row_bytes=1))
    assert not nothing.within
    assert nothing.best.cost.row_bytes == min(each.cost.row_bytes for each in nothing.tried)
