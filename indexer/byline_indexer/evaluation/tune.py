"""Choose a setting by the LDS on the tuning queries, within a budget. The reported queries take no part."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from byline.api.quality_card import BaselineFigure
from byline.api.terms import Similarity
from byline.errors import InvalidInput
from byline.index.durable import replace_file
from byline.loading.task_file import load_task
from byline.metrics import Interval
from byline.recipes import RECIPES
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.axes import Facts
from byline_indexer.evaluation.costs import Budget, pareto
from byline_indexer.evaluation.grid import Grid
from byline_indexer.evaluation.options import EvaluationOptions
from byline_indexer.evaluation.queries import REPORT, tuned_queries
from byline_indexer.evaluation.rivals import blended, compare_rivals, similarities
from byline_indexer.evaluation.search import Search
from byline_indexer.evaluation.subject import Subject
from byline_indexer.evaluation.trials import Trial, Trials
from byline_indexer.progress import Observer, Silent


@dataclass(frozen=True)
class Tuned:
    """All settings with their LDS and cost, and the one that was chosen."""

    tried: Sequence[Trial]
    """Settings in the order in which they were tried."""
    best: Trial
    """The setting with the largest LDS within the budget; of equal ones the first."""
    within: bool
    """Whether it is within the budget. Otherwise no setting is, and it is the one with the fewest bytes a row."""
    interval: Interval | None
    """Its LDS: the 95 % bootstrap interval over tuning queries and subsets."""
    rivals: Mapping[Similarity, BaselineFigure]
    """Baselines alone, compared with the best setting that has no blend."""
    queries: int
    """Tuning queries whose truth varies."""

    @property
    def pareto(self) -> list[Trial]:
        """Settings that no other one beats in LDS, bytes and time, the largest LDS first."""
        marks = pareto([each.cost for each in self.tried], [each.lds for each in self.tried])
        found = [each for each, marked in zip(self.tried, marks, strict=True) if marked]
        return sorted(found, key=lambda each: -each.lds)


def tune(
    config: BuildConfig,
    options: EvaluationOptions,
    grid: Grid,
    budget: Budget | None = None,
    observer: Observer | None = None,
) -> Tuned:
    """Build an index of every setting, score the tuning queries, and compare with retrained models.

    An index is deleted once its scores are kept. A run that was stopped goes on after the last of them.

    Args:
        config: The build file. Its index is not touched.
        options: How models are retrained. `output` is what all settings are compared by.
        grid: What is tried.
        budget: The most that the chosen setting may cost.
        observer: Receives progress and messages.

    Returns:
        Every setting's LDS and cost, and the best.

    Raises:
        InvalidInput: There are no tuning queries, or the grid does not fit the Task.
        InvalidTask: The Task lacks what retraining needs.
    """
    subject = Subject(config, options, load_task(config.task), observer or Silent())
    subject.check()
    items = subject.split.tuning
    if not len(items):
        raise InvalidInput("expected at least one query to tune on, got --tuning 0")
    trials = Trials(subject, items, len(items))
    tuned = choose(trials, grid, budget or Budget())
    _write_report(tuned, subject)
    return tuned


def choose(trials: Trials, grid: Grid, budget: Budget) -> Tuned:
    """Search for the best setting, blend it with baselines, and compare it with them."""
    subject, config = trials.subject, trials.subject.config
    require_grid(grid, subject)
    facts = Facts.of(subject.task, budget.numbers(config.index))
    search = Search(grid, facts, budget, trials.measure, subject.observer.message)
    tried = search.run(config.recipe)
    trials.delete_index()
    influence = max(tried, key=search.rank)
    similar = similarities(trials, influence)
    tried += blended(trials, influence, similar, grid.weights)
    best = max(tried, key=search.rank)
    _, truth = trials.scores(best.candidate.influence)
    return Tuned(
        tried=tried,
        best=best,
        within=budget.allows(best.cost),
        interval=trials.interval(best, truth),
        rivals=compare_rivals(trials, influence, similar),
        queries=int((~np.isnan(best.lds_Q)).sum()),
    )


def require_grid(grid: Grid, subject: Subject) -> None:
    """Require that the grid's names and positions exist, and that each of its axes is an axis of some recipe.

    Raises:
        InvalidInput: They do not.
    """
    unknown = set(grid.rows or ()) - set(RECIPES)
    if unknown:
        raise InvalidInput(
            f"expected --row to be one of the recipes {', '.join(RECIPES)}, got {len(unknown)} other names"
        )
    for signal in grid.signals or ():
        subject.task.objective(signal)
    count = len(subject.task.checkpoints)
    for models in grid.checkpoints or ():
        if models.positions is not None and not all(each < count for each in models.positions):
            raise InvalidInput(
                f"expected --checkpoints to be positions below {count}, the Task's number of checkpoints, or all"
            )
    own = subject.config.recipe
    rows = [own if name == own.name else RECIPES[name] for name in grid.rows or ()]
    if any(each.coordinates for each in grid.sizes or ()):
        _refuse_missing("--size", [hasattr(row.projection, "size") for row in rows])
    if grid.dampings:
        _refuse_missing("--damping", [hasattr(row.curvature, "damping") for row in rows])


def _refuse_missing(option: str, having: Sequence[bool]) -> None:
    if having and not any(having):
        raise InvalidInput(
            f"expected a --row with something that {option} could change, got none: leave {option} out, or add a row"
        )


def _write_report(tuned: Tuned, subject: Subject) -> None:
    evaluation = subject.evaluation_digest()
    tuning = {int(item) for item in subject.split.tuning}
    best = tuned.best.candidate
    document = {
        "output": subject.options.output or "loss",
        "tuning_queries": sorted(tuning),
        "evaluation": evaluation,
        "tuned_on": sorted(tuning | tuned_queries(subject.folder(), evaluation)),
        "candidates": [_record(each) for each in tuned.tried],
        "pareto": [each.candidate.text for each in tuned.pareto],
        "baselines": {name: each.model_dump(mode="json") for name, each in tuned.rivals.items()},
        "best": {"build_file": best.toml(), "refine": best.refine, "within_budget": tuned.within},
    }
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    replace_file(report_file(subject), text.encode())


def report_file(subject: Subject) -> Path:
    """Name the file of the report."""
    return subject.folder() / REPORT


def _record(trial: Trial) -> dict[str, Any]:
    candidate = trial.candidate
    return {
        "setting": candidate.text,
        "lds": trial.lds,
        "bytes_per_row": trial.cost.row_bytes,
        "bytes": trial.cost.total_bytes,
        "milliseconds": trial.cost.milliseconds,
        "recipe": candidate.recipe.model_dump(mode="json"),
        "refine": candidate.refine,
        "blend": None if candidate.blend is None else candidate.blend.model_dump(mode="json"),
    }
