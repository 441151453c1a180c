"""List the metrics. A metric is a row: a function from an evaluation and its index to a measurement.

Letters: J rows of the index, S subsets, T seeds, Q reported queries.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from byline.api.quality_card import Measurement, MeasurementProtocol
from byline.errors import InvalidInput
from byline.index.index import AttributionIndex
from byline_indexer.evaluation import mislabel as mislabeling
from byline_indexer.evaluation.blends import blend_lds
from byline_indexer.evaluation.comparison import compare
from byline_indexer.evaluation.designs import leave_one_out, random_subsets
from byline_indexer.evaluation.measurement import Measured, libraries, today
from byline_indexer.evaluation.queries import refuse_tuned
from byline_indexer.evaluation.subject import IndexRows, Subject
from byline_indexer.evaluation.truth import Truth, write_truth


@dataclass(frozen=True)
class Metric:
    """One row of the table."""

    check: Callable[[Subject], None]
    """Raises where the Task or the recipe lacks something; called before anything is built."""
    measure: Callable[[Subject, AttributionIndex], Measured]
    """Measures the index."""


def lds(subject: Subject, index: AttributionIndex) -> Measured:
    """Measure the linear datamodeling score (LDS), with models retrained on random subsets."""
    truth = subject.random_truth(IndexRows.of(index))
    alpha = None if truth.source == "file" else subject.options.alpha
    return _compared(subject, index, truth, title="LDS", alpha=alpha)


def loo(subject: Subject, index: AttributionIndex) -> Measured:
    """Measure leave-one-out, with models retrained without single rows."""
    options = subject.options
    truth = subject.truth(
        IndexRows.of(index), lambda: leave_one_out(index.rows, options.points, options.seed)
    )
    if not (truth.subsets_SJ.sum(axis=1) == index.rows - 1).all():
        raise InvalidInput(
            "expected subsets in the --truth file that leave exactly one row of the index out, for --metric loo, got "
            "others: take --metric lds"
        )
    return _compared(subject, index, truth, title="leave-one-out", alpha=None)


def _compared(
    subject: Subject, index: AttributionIndex, truth: Truth, *, title: str, alpha: float | None
) -> Measured:
    """Compare summed scores with retrained outputs, on the reported queries alone."""
    options, reported = subject.options, subject.split.reported
    write_truth(subject.folder() / f"truth-{options.metric}.npz", truth, index.groups)
    outputs_TSQ = truth.of(reported)
    scores_QJ = subject.scores(index, reported, subject.target)
    found = compare(scores_QJ, truth.subsets_SJ, outputs_TSQ)
    dropped = found.dropped
    if dropped == len(reported):
        raise InvalidInput(
            f"all {dropped} reported queries have the same output under every retrained model: there is nothing to "
            f"predict; check that Task.train uses its rows"
        )
    interval, ceiling = found.interval, found.ceiling
    subsets = len(truth.subsets_SJ)
    unit = "point" if index.groups is None else "group"
    left_out = f"{subsets} {unit}s left out" if options.metric == "loo" else f"{subsets} subsets"
    measurement = Measurement(
        metric=options.metric,
        title=title,
        statistic="mean over the queries of Spearman's correlation, over the subsets, of summed scores and outputs",
        value=found.value,
        interval=None if interval is None else (interval.low, interval.high),
        sample=f"{len(reported) - dropped} queries, {left_out}",
        ceiling=None if ceiling is None else ceiling.ceiling,
        further={"pearson": float(np.nanmean(found.linear_Q))}
        | ({} if ceiling is None else {"halves_of_seeds": ceiling.halves})
        | blend_lds(subject, index, scores_QJ, truth),
        protocol=MeasurementProtocol(
            target=subject.target,
            output=subject.output,
            queries=len(reported),
            dropped=dropped,
            tuned_on=len(subject.split.tuning),
            subsets=subsets,
            alpha=alpha,
            seeds=len(truth.outputs_TSE),
            seed=options.seed,
            truth=truth.source,
        ),
        measured=today(),
        libraries=libraries(),
    )
    return Measured(
        measurement, tuple(_query(*each) for each in zip(reported, found.rank_Q, found.linear_Q, strict=True))
    )


def _query(item: np.int64, rank: np.float64, linear: np.float64) -> dict[str, Any]:
    dropped = bool(np.isnan(rank))
    return {
        "item": int(item),
        "spearman": None if dropped else float(rank),
        "pearson": None if dropped else float(linear),
        "dropped": dropped,
    }


def _check(subject: Subject) -> None:
    subject.check()
    refuse_tuned(subject.options.out, subject.evaluation_digest(), subject.split.reported)


def _check_lds(subject: Subject) -> None:
    _check(subject)
    options = subject.options
    if options.truth is None and subject.config.groups is None:
        random_subsets(len(subject.task.train_set), options.subsets, options.alpha, options.seed)


METRICS: dict[str, Metric] = {
    "lds": Metric(_check_lds, lds),
    "loo": Metric(_check, loo),
    "mislabel": Metric(mislabeling.check, mislabeling.mislabel),
}
"""Every metric, by name."""
