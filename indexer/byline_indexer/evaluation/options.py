"""Options of `byline evaluate` and `byline tune`."""

from pydantic import BaseModel, ConfigDict, Field

from byline.api.terms import MOST_REFINE_STEPS, REFINE_STEPS
from byline.paths import LocalPath

MOST_BY_DEFAULT = 100
"""Queries that are reported, and queries that are set apart for tuning, unless the caller says how many."""


class EvaluationOptions(BaseModel):
    """Options of a measurement."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    out: LocalPath
    """Folder of reports, retrained outputs and other files that a later run uses again."""
    metric: str = "lds"
    """A name of `byline_indexer.evaluation.metrics.METRICS`."""
    target: str | None = None
    """Target that the scores attribute. None takes the recipe's query target."""
    output: str | None = None
    """f of the retrained models: minus the `loss`, or a target of the Task; None takes what is attributed."""
    subsets: int = Field(default=100, ge=2)
    """Subsets to retrain on, for `lds`."""
    alpha: float = Field(default=0.5, gt=0, lt=1)
    """Share of the rows that each subset keeps."""
    points: int = Field(default=50, ge=2)
    """Rows that are left out one by one, for `loo`."""
    owners: int = Field(default=100, ge=3)
    """Owners that are left out one by one, for `owner`: the largest, or all if there are fewer."""
    paired: bool | None = None
    """Whether all subsets are trained with the same seeds. None pairs `loo`, `owner`, and `lds` where few rows are left
    out (`byline_indexer.evaluation.designs.PAIRED_FROM`)."""
    wrong: float = Field(default=0.1, gt=0, lt=1)
    """Share of the training points that get wrong labels, for `mislabel`."""
    seeds: int = Field(default=1, ge=1)
    """Models that are trained on each subset."""
    queries: int | None = Field(default=None, ge=1)
    """Items of the evaluation set that are reported."""
    tuning: int | None = Field(default=None, ge=0)
    """Items that are set apart for `byline tune` and never reported."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the draw of subsets, queries and wrong labels."""
    truth: LocalPath | None = None
    """Outputs of models that were retrained elsewhere, in place of retraining."""
    batch: int = Field(default=32, ge=1)
    """Queries that are differentiated together."""
    refine: int = Field(default=REFINE_STEPS, ge=0, le=MOST_REFINE_STEPS)
    """Steps of conjugate gradients that solve each query. 0 takes the index's own solution."""
