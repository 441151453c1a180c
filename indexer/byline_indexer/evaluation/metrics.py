"""List the metrics. A metric is a row: a function from an evaluation and its index to a measurement."""

from collections.abc import Callable
from dataclasses import dataclass

from byline.index.index import AttributionIndex
from byline_indexer.evaluation import counterfactuals, mislabel
from byline_indexer.evaluation.measurement import Measured
from byline_indexer.evaluation.subject import Subject


@dataclass(frozen=True)
class Metric:
    """One row of the table."""

    check: Callable[[Subject], None]
    """Raises where the Task or the recipe lacks something; called before anything is built."""
    measure: Callable[[Subject, AttributionIndex], Measured]
    """Measures the index."""


METRICS: dict[str, Metric] = {
    "lds": Metric(counterfactuals.check_lds, counterfactuals.lds),
    "loo": Metric(counterfactuals.check, counterfactuals.loo),
    "owner": Metric(counterfactuals.check_owner, counterfactuals.owner),
    "mislabel": Metric(mislabel.check, mislabel.mislabel),
}
"""Every metric, by name."""
