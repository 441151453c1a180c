"""Parts of the wire documents of answers: training points, owners, and facts about the search and the index."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, JsonValue

from byline.api.blend import Blend
from byline.api.documents import Document
from byline.api.example import Example
from byline.api.noise_scores import NoiseScore
from byline.api.receipts import Receipt
from byline.api.terms import ErrorScope, Ranking
from byline.api.token_scores import TokenScores


class Attribution(Document):
    """A training point in an answer."""

    rank: int = Field(ge=1)
    """Rank, from 1 for the strongest score."""
    row: int = Field(ge=0)
    """Row of the training point in the index."""
    example: Example
    """Metadata of the training point."""
    score: float
    """Mean over the members. A positive score means that training on the point raised the target (lowered the loss).
    With a baseline: the similarity to the query, or the blend."""
    standard_error: float | None
    """Standard error of the score over the ensemble (`Answer.standard_error_scope`). Null with one member."""
    interval: tuple[float, float] | None = None
    """95 % interval around the score minus the `optimism` of its end, if that is known. It uses Student's t with
    `standard_error_units` - 1 degrees of freedom. Null with one member."""
    members: dict[str, float] | None = None
    """Scores by member. Null unless `members` was requested."""
    tokens: TokenScores | None = None
    """The score token by token. Null unless `tokens` was requested."""
    image: str | None = None
    """Address of the training point's thumbnail, a PNG. A path of the service over HTTP, a `data:` URI in Python. Null
    without a thumbnail."""
    noise: NoiseScore | None = None
    """The score over draws of the query's noise, and by timestep. Null unless `replicates` was requested."""


class Coverage(Document):
    """The part of the training set that an answer covers."""

    searched: int
    """Number of training points that the search covered, directly or through their groups."""
    total: int
    """Number of training points of the index."""
    complete: bool
    """Whether the search covered all training points. Compensation requires it."""
    withheld: int = 0
    """Number of training points that the answer would list, but that have no consent. Their ranks are missing."""


class StandsOut(Document):
    """Whether the best scores stand out from the noise. Null means unknown."""

    proponents: bool | None = None
    """Whether the largest score stands out."""
    opponents: bool | None = None
    """Whether the smallest score stands out."""


class Optimism(Document):
    """The fraction by which the listed scores are too high on average, because they are the best of many.

    The estimate selects without one unit of the ensemble and scores by that unit. Null means unknown: with one member,
    if codes chose the candidates (`exact` is false), or if the best scores are on the wrong side of zero.
    """

    proponents: float | None = None
    """Optimism of the largest scores. 0.05 means 5 % too high."""
    opponents: float | None = None
    """Optimism of the smallest scores. 0.05 means 5 % too low."""


class SearchCertainty(Document):
    """The certainty that the search found the strongest rows."""

    exact: bool
    """Whether every row in question was scored. Then the search missed nothing."""
    candidates: int = Field(ge=0)
    """Number of scored rows. With both ends, the larger number."""
    expected_recall: float = Field(ge=0, le=1)
    """Lower bound of the expected fraction of examples that scoring all rows would also return. It follows from the
    error of the codes on the candidates, and is the lower one of both ends. 1 if all rows were scored. An index that
    stores codes alone gives the lowest recall measured at build time."""


class Refinement(Document):
    """How far a query was solved with the curvature of training points."""

    steps: int
    """Steps that were taken, the most of any member. Fewer than `refine` if the query was solved before."""
    residual: float
    """Length of what the solution misses, relative to the query's gradient; the largest of any member."""
    sample: int
    """Number of training points whose curvature was used."""
    damping: float
    """Number that was added to every eigenvalue of the curvature, mean over the members."""


class Timings(Document):
    """Milliseconds by stage. Queries of one batch share the times of the batch."""

    queue: float = 0.0
    """Wait for the compute thread. Zero without a server."""
    predict: float = 0.0
    """Parsing of the payload, and prediction of missing fields."""
    gradient: float = 0.0
    """Gradients and features of the query. With `tokens` also those of the listed points, and with
    `replicates` those of every band."""
    transform: float = 0.0
    """Transformation of given gradient tensors into a feature."""
    search: float = 0.0
    """Search, exact rescoring, members' scores, and owners' sums if requested."""
    join: float = 0.0
    """Reading of the metadata, and construction of the answer."""


class OwnerShare(Document):
    """The share of one owner in an answer."""

    owner: str
    """Name of the owner."""
    licenses: tuple[str, ...] = ()
    """Licenses of the owner's training points."""
    examples: int
    """Number of rows of the owner."""
    score: float
    """Signed sum of the scores of these rows."""
    standard_error: float | None
    """Standard error of the score. Null with one member."""
    interval: tuple[float, float] | None = None
    """95 % interval of the score by Student's t."""
    share: float | None
    """Positive part of the score, divided by the sum over all owners. Null if that sum is zero."""
    share_standard_error: float | None
    """Standard error of the share by the delete-one jackknife over the ensemble. Null with one member."""
    share_interval: tuple[float, float] | None = None
    """95 % interval of the share by Student's t, within 0 and 1. It is the interval of the score divided by the shared
    sum, so it has a width even if the share is clipped to zero."""
    members: dict[str, float] | None = None
    """Scores by member, with the score as their mean. Null unless `members` was requested and the scores are known."""
    works: tuple[tuple[str, float], ...] = Field(default=(), exclude=True, repr=False)
    """Ids and scores of the owner's rows with the largest absolute scores, for a receipt. Empty in other answers."""


class OtherOwners(Document):
    """The sums over the owners beyond `owners_limit`."""

    owners: int
    """Number of these owners."""
    examples: int
    """Number of their rows."""
    score: float
    """Sum of their scores."""
    share: float | None
    """Sum of their shares. Null if no owner has a share."""


class CardFigure(Document):
    """A figure of a quality card."""

    metric: str
    """Metric as `byline evaluate --metric` names it."""
    target: str | None
    """Target of the measured scores. The figure does not apply to other targets."""
    text: str
    """Readable form, such as `LDS .50 (.46 to .53), 100 queries`."""
    value: float
    """Value of the figure."""
    interval: tuple[float, float] | None
    """95 % bootstrap interval."""
    ceiling: float | None
    """Value that perfect scores would reach. Null if unknown."""
    not_better_than: tuple[str, ...] = ()
    """Baselines, such as `bm25`, that these scores are not shown to be better than on the same truth."""


class CardSummary(Document):
    """A summary of the index's quality card. `GET /v1/indexes/{name}` returns the complete card."""

    text: str
    """Readable form of all figures, on one line."""
    manifest: str
    """Digest of the measured version's manifest."""
    figures: tuple[CardFigure, ...]
    """Figures, one for each measurement."""


class AnswerHeader(Document):
    """The description of the index and the scores that every answer contains."""

    index: str
    """Name of the index."""
    version: str
    """Version of the index."""
    recipe: str | None
    """Name of the recipe. Null for similarities."""
    recipe_fingerprint: str | None
    """Digest of everything that determines a stored vector. Null for similarities."""
    baseline: Ranking | None = None
    """Baseline of the scores: a similarity to the query, or a `blend` of influence and similarity. Null for influence
    scores."""
    blend: Blend | None = None
    """Similarity and weight of a blend, which is no attribution by gradients alone. Null for other scores."""
    unit: Literal["point", "group"] = "point"
    """Unit of `row` and of the answer's entries: training points, or groups of training points."""
    drilled_groups: int | None = None
    """Number of groups whose points were scored one by one. Null without a drill-down. Points of other groups were not
    scored: `coverage` counts the scored points, and `search` is null."""
    exact: bool
    """Whether all rows were scored. False if compressed codes chose the candidates."""
    search: SearchCertainty | None = None
    """Certainty of the search. Null without examples, and for a baseline."""
    quality_card: CardSummary | None = None
    """Measurements of this index. Null without measurements, and for a baseline."""
    refined: Refinement | None = None
    """How far the query was solved. Null without `refine`."""
    target: str | None
    """Attributed target. Null for a gradient, a feature and a similarity."""
    prediction: Mapping[str, JsonValue] | None = None
    """Prediction of the model for the missing fields of the query, which is then attributed. `prediction_member` alone
    makes it. The scores cover all members."""
    predictions: tuple[Mapping[str, JsonValue] | None, ...] | None = None
    """Predictions for the queries of a `query_set`."""
    prediction_member: str | None = None
    """Predicting member: the first checkpoint and adapter, without a mask. Null without a prediction."""
    standard_error_scope: ErrorScope | None
    """Variation that the standard errors cover. `within_checkpoint` misses the variation between trained models."""
    standard_error_units: int | None = None
    """Number of independent units behind the standard errors: checkpoints, or adapters or masks of one checkpoint. For
    another interval, use Student's t with one degree of freedom less."""
    timings: Timings
    """Milliseconds by stage."""
    receipt: Receipt | None = None
    """Signed record of the scores of all owners, to book an event from. The service signs the answers with `shares` that
    list every owner, by member, where a policy could pay. Null for other answers."""
