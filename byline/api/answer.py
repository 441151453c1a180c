"""What comes back: the same documents from the command line and over HTTP. Finite numbers only."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from byline.api.example import Example
from byline.api.terms import ErrorScope, Similarity

if TYPE_CHECKING:
    import pandas as pd


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class Attribution(_Document):
    """One training point of an answer."""

    rank: int = Field(ge=1)
    """1 is the strongest."""
    row: int = Field(ge=0)
    """Row of the index."""
    example: Example
    """The training point's metadata."""
    score: float
    """Mean over the members; positive: training on it raised the target (lowered the loss). By a baseline: how alike it
    is to the query."""
    standard_error: float | None
    """Of the score, over the ensemble (`Answer.standard_error_scope`); null with one member."""
    interval: tuple[float, float] | None = None
    """95 % interval: around the score less its end's `optimism` (where that is known), by Student's t with
    `standard_error_units` - 1 degrees of freedom; null with one member."""
    members: dict[str, float] | None = None
    """Score by member, where it was asked for."""


class Coverage(_Document):
    """How much of the training set an answer speaks of."""

    searched: int
    """Training points that could have come back, or whose groups could."""
    total: int
    """Training points of the index."""
    complete: bool
    """Whether these are all; compensation needs a complete answer."""


class StandsOut(_Document):
    """Whether the best scores stand out from the noise; null where unknown."""

    proponents: bool | None = None
    """For the largest score."""
    opponents: bool | None = None
    """For the smallest score."""


class Optimism(_Document):
    """By what part the listed scores are too high on average, since they were picked as the best of many.

    Estimated by picking without one unit of the ensemble and scoring by it. Null where unknown: with one member, where
    codes chose the candidates (`exact` is false), and where the best scores are not on their end's side of zero.
    """

    proponents: float | None = None
    """Of the largest scores: 0.05 is 5 % too high."""
    opponents: float | None = None
    """Of the smallest scores: 0.05 is 5 % too low."""


class SearchCertainty(_Document):
    """How sure it is that the search missed nothing stronger than what came back."""

    exact: bool
    """Whether every row that could have come back was scored; then nothing was missed."""
    candidates: int = Field(ge=0)
    """Rows that were scored; with both ends, the larger number."""
    expected_recall: float = Field(ge=0, le=1)
    """At least this part of the examples is expected to be what scoring all rows would return, by the error of the
    codes that was seen on the candidates; the lower of both ends. 1 where all rows were scored. Of an index that keeps
    codes only: the lowest that was measured when it was built."""


class Timings(_Document):
    """Milliseconds by stage. Queries answered in one batch share the batch's times."""

    queue: float = 0.0
    """Waiting for the compute thread; 0 without a server."""
    predict: float = 0.0
    """Parsing the payload, and predicting what it left open."""
    gradient: float = 0.0
    """Gradients of the query, and their features."""
    transform: float = 0.0
    """From given gradient tensors to a feature."""
    search: float = 0.0
    """Searching, rescoring, the members' scores, and the owners' sums where asked for."""
    join: float = 0.0
    """Reading the examples' metadata, and writing the answer."""


class OwnerShare(_Document):
    """One owner's part of an answer."""

    owner: str
    """Who is credited."""
    licenses: tuple[str, ...] = ()
    """Licenses of the owner's examples."""
    examples: int
    """How many rows are the owner's."""
    score: float
    """Signed sum of the scores of all these rows."""
    standard_error: float | None
    """Of the score; null with one member."""
    interval: tuple[float, float] | None = None
    """95 % interval of the score, by Student's t."""
    share: float | None
    """The score's positive part over the sum of all owners'; null where that sum is 0."""
    share_standard_error: float | None
    """Of the share, by the delete-one jackknife over the ensemble; null with one member."""
    share_interval: tuple[float, float] | None = None
    """95 % interval of the share, by Student's t, between 0 and 1: that of the score over what is shared, which has a
    spread also where the share is clipped to 0."""
    members: dict[str, float] | None = None
    """The score by member, where it was asked for and is known; their mean is the score."""


class OtherOwners(_Document):
    """The owners that a limit left out, together."""

    owners: int
    """How many they are."""
    examples: int
    """How many rows are theirs."""
    score: float
    """Sum of their scores."""
    share: float | None
    """Sum of their shares; null where nobody has one."""


class Shares(_Document):
    """All owners' shares of one answer, largest score first."""

    owners: tuple[OwnerShare, ...]
    """The owners of the index, or as many as `owners_limit` lists."""
    others: OtherOwners | None = None
    """The owners that are not listed; null where all are."""
    positive: float
    """What is shared: the sum of the owners' positive scores."""
    clipped: float
    """What is not: the sum of the owners' negative scores, as a positive number."""
    coverage: Coverage
    """Shares are over all rows that have an owner; incomplete where some have none."""

    def to_pandas(self) -> "pd.DataFrame":
        """Write the shares as a table, one row an owner; see `byline.notebook.tables.owners_table`."""
        from byline.notebook.tables import owners_table

        return owners_table(self)


class CardFigure(_Document):
    """One figure of a quality card."""

    metric: str
    """As `byline evaluate --metric` names it."""
    target: str | None
    """What the measured scores attributed: it says nothing about other targets."""
    text: str
    """For people: `LDS .50 (.46 to .53), 100 queries`."""
    value: float
    """The figure."""
    interval: tuple[float, float] | None
    """95 % bootstrap interval."""
    ceiling: float | None
    """What perfect scores would reach; null where unknown."""


class CardSummary(_Document):
    """What was measured about the index that answers, in short; `GET /v1/indexes/{name}` has all of it."""

    text: str
    """All figures in one line."""
    manifest: str
    """Digest of the manifest that the card belongs to."""
    figures: tuple[CardFigure, ...]
    """One a measurement."""


class AnswerHeader(_Document):
    """What every answer says about the index that it came from."""

    index: str
    """Name of the index."""
    version: str
    """Version of the index."""
    recipe: str | None
    """Name of the recipe; null where a baseline made the scores."""
    recipe_fingerprint: str | None
    """Everything that determines a stored vector, in one digest; null where a baseline made the scores."""
    baseline: Similarity | None = None
    """The baseline that made the scores: similarity to the query, not influence. Null where the recipe did."""
    unit: Literal["point", "group"] = "point"
    """What `row` and the entries of the answer are: training points, or groups of them."""
    drilled_groups: int | None = None
    """Groups whose points were scored one by one; null without a drill-down. Points of other groups were not scored:
    `coverage` says how many were, and `search` is null."""
    exact: bool
    """Whether all rows were scored; false where compressed codes chose the candidates."""
    search: SearchCertainty | None = None
    """How sure it is that nothing stronger was missed; null where no examples were asked for, and for a baseline."""
    quality_card: CardSummary | None = None
    """What was measured about this index; null where nothing was."""
    target: str | None
    """What was attributed; null where a gradient or a feature came, which have their own, and for a baseline."""
    prediction: Mapping[str, JsonValue] | None = None
    """The model's own prediction, where the query left it open: this is what is attributed. It is made
    by `prediction_member` alone; the scores are over all members."""
    predictions: tuple[Mapping[str, JsonValue] | None, ...] | None = None
    """The same for each query of a `query_set`."""
    prediction_member: str | None = None
    """Who predicted: the first member (checkpoint and adapter), without its mask; null where nobody did."""
    standard_error_scope: ErrorScope | None
    """What the standard errors cover; `within_checkpoint` misses that between trained models."""
    standard_error_units: int | None = None
    """Independent units that the standard errors come from: checkpoints, or adapters or masks of one. An interval of
    another level takes Student's t with one degree of freedom less."""
    timings: Timings
    """Milliseconds by stage."""


class Answer(AnswerHeader):
    """The most influential training points of one query."""

    proponents: tuple[Attribution, ...] | None
    """Largest scores first; null where only opponents were asked for."""
    opponents: tuple[Attribution, ...] | None
    """Smallest scores first; null where only proponents were asked for."""
    coverage: Coverage
    """How much was searched."""
    stands_out: StandsOut
    """Whether the best scores stand out from the noise."""
    optimism: Optimism = Optimism()
    """By what part the listed scores are too high, since they were picked."""
    shares: Shares | None = None
    """Each owner's share, where it was asked for."""

    def to_pandas(self) -> "pd.DataFrame":
        """Write the training points as a table, proponents first; see `byline.notebook.tables.points_table`."""
        from byline.notebook.tables import points_table

        return points_table(self)

    def _repr_html_(self) -> str:
        """Show the answer in a notebook: the prediction, the training points as cards, the owners' shares."""
        from byline.notebook.cards import answer_html

        return answer_html(self)


class SharesAnswer(AnswerHeader):
    """Each owner's share of one query's answer, over all rows."""

    shares: Shares
    """The owners."""
