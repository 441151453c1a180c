"""Metrics that compare summed scores with the outputs of retrained models: `lds`, `loo` and `owner`.

Letters: J rows of the index, S subsets, T seeds, Q reported queries.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from byline.api.quality_card import BaselineFigure, Measurement, MeasurementProtocol
from byline.errors import InvalidInput
from byline.features.refining import refuse_unrefinable
from byline.index.index import AttributionIndex
from byline_indexer.evaluation.baselines import baseline_predictions
from byline_indexer.evaluation.blends import blend_lds
from byline_indexer.evaluation.comparison import Comparison, compare, compare_baseline
from byline_indexer.evaluation.designs import leave_one_out, leave_owners_out
from byline_indexer.evaluation.measurement import Measured, libraries, today
from byline_indexer.evaluation.owners import OwnedRows, require_owners
from byline_indexer.evaluation.queries import refuse_tuned
from byline_indexer.evaluation.subject import IndexRows, Subject
from byline_indexer.evaluation.truth import Truth, points_of, write_truth


@dataclass(frozen=True)
class _Described:
    """What a measurement says of its metric and its subsets."""

    title: str
    subsets: str
    """Number and kind of the subsets, such as `40 subsets`."""
    alpha: float | None = None
    owners: int | None = None


@dataclass(frozen=True)
class _Figures:
    """What was computed from one truth."""

    comparison: Comparison
    baselines: Mapping[str, BaselineFigure]
    blends: Mapping[str, float]
    """The LDS of the build file's blend, by its name."""


def lds(subject: Subject, index: AttributionIndex) -> Measured:
    """Measure the linear datamodeling score (LDS), with models retrained on random subsets."""
    truth = subject.random_truth(IndexRows.of(index))
    alpha = None if truth.source == "file" else subject.options.alpha
    kept = "" if alpha in {None, 0.5} else f" that keep {alpha:.0%}"
    described = _Described("LDS", f"{len(truth.subsets_SJ)} subsets{kept}", alpha=alpha)
    return _measured(subject, index, truth, described)


def loo(subject: Subject, index: AttributionIndex) -> Measured:
    """Measure leave-one-out, with models retrained without single rows."""
    options = subject.options
    truth = subject.truth(
        IndexRows.of(index),
        lambda: leave_one_out(index.rows, options.points, options.seed, paired=options.paired is not False),
    )
    if not (truth.subsets_SJ.sum(axis=1) == index.rows - 1).all():
        raise InvalidInput(
            "expected subsets in the --truth file that leave exactly one row of the index out, for --metric loo, got "
            "others: take --metric lds"
        )
    unit = "point" if index.groups is None else "group"
    described = _Described("leave-one-out", f"{len(truth.subsets_SJ)} {unit}s left out")
    return _measured(subject, index, truth, described)


def owner(subject: Subject, index: AttributionIndex) -> Measured:
    """Measure leave-one-owner-out, with models retrained without all rows of single owners."""
    options, owned = subject.options, OwnedRows.of(index)
    truth = subject.truth(
        IndexRows.of(index),
        lambda: leave_owners_out(owned.owner_J, options.owners, paired=options.paired is not False),
    )
    owned.require_whole(truth.subsets_SJ)
    chosen = len(truth.subsets_SJ)
    subsets = f"{chosen} owners left out" + ("" if chosen == owned.owners else f" of {owned.owners}")
    return _measured(subject, index, truth, _Described("leave-one-owner-out", subsets, owners=owned.owners))


def check(subject: Subject) -> None:
    """Require what every comparison with retrained models needs.

    Raises:
        InvalidTask: The Task lacks something.
        InvalidInput: The options do not fit, or a query to report was tuned on.
        InvalidQuery: The recipe's queries cannot be refined, and are to be.
    """
    subject.check()
    if subject.options.refine:
        refuse_unrefinable(subject.config.recipe)
    refuse_tuned(subject.options.out, subject.evaluation_digest(), subject.split.reported)


def check_lds(subject: Subject) -> None:
    """Require also that subsets of this size can be drawn. Groups are known after the build only."""
    check(subject)
    if subject.options.truth is None and subject.config.groups is None:
        subject.random_design(len(subject.task.train_set))


def check_owner(subject: Subject) -> None:
    """Require also that the training points have owners.

    Raises:
        InvalidTask: They have too few.
    """
    check(subject)
    require_owners(subject.task)


def _measured(subject: Subject, index: AttributionIndex, truth: Truth, described: _Described) -> Measured:
    """Compare summed scores with retrained outputs, on the reported queries alone."""
    options, reported = subject.options, subject.split.reported
    write_truth(subject.folder() / f"truth-{options.metric}.npz", truth, index.groups)
    outputs_TSQ = truth.of(reported)
    scores_QJ = subject.scores(index, reported, subject.target)
    found = compare(scores_QJ, truth.subsets_SJ, outputs_TSQ)
    if found.dropped == len(reported):
        raise InvalidInput(
            f"all {found.dropped} reported queries have the same output under every retrained model: there is nothing "
            f"to predict; check that Task.train uses its rows"
        )
    others = baseline_predictions(subject, index, reported, points_of(truth.subsets_SJ, index.groups))
    figures = _Figures(
        found,
        baselines={
            name: compare_baseline(found, other_SQ, outputs_TSQ.mean(axis=0))
            for name, other_SQ in others.items()
        },
        blends=blend_lds(subject, index, scores_QJ, truth),
    )
    details = tuple(_query(*each) for each in zip(reported, found.rank_Q, found.linear_Q, strict=True))
    return Measured(_measurement(subject, truth, described, figures), details)


def _measurement(subject: Subject, truth: Truth, described: _Described, figures: _Figures) -> Measurement:
    found = figures.comparison
    queries, ceiling, interval = len(found.rank_Q), found.ceiling, found.interval
    refined = f" (refine {subject.options.refine})" if subject.options.refine else ""
    over = "owners" if described.owners is not None else "subsets"
    return Measurement(
        metric=subject.options.metric,
        title=described.title,
        statistic=f"mean over the queries of Spearman's correlation, over the {over}, of summed scores and outputs",
        value=found.value,
        interval=None if interval is None else (interval.low, interval.high),
        sample=f"{queries - found.dropped} queries{refined}, {described.subsets}",
        ceiling=None if ceiling is None else ceiling.ceiling,
        further={"pearson": float(np.nanmean(found.linear_Q))}
        | ({} if ceiling is None else {"halves_of_seeds": ceiling.halves})
        | dict(figures.blends),
        baselines=figures.baselines,
        protocol=MeasurementProtocol(
            target=subject.target,
            output=subject.output,
            queries=queries,
            dropped=found.dropped,
            tuned_on=len(subject.split.tuning),
            subsets=len(truth.subsets_SJ),
            alpha=described.alpha,
            refine=subject.options.refine,
            seeds=len(truth.outputs_TSE),
            paired=truth.paired,
            owners=described.owners,
            seed=subject.options.seed,
            truth=truth.source,
        ),
        measured=today(),
        libraries=libraries(),
    )


def _query(item: np.int64, rank: np.float64, linear: np.float64) -> dict[str, Any]:
    dropped = bool(np.isnan(rank))
    return {
        "item": int(item),
        "spearman": None if dropped else float(rank),
        "pearson": None if dropped else float(linear),
        "dropped": dropped,
    }
