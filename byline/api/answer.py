"""Wire documents of answers, the same from Python, the command line and HTTP. All numbers are finite."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from byline.api.answer_parts import (
    AnswerHeader,
    Attribution,
    Coverage,
    Optimism,
    OtherOwners,
    OwnerShare,
    StandsOut,
)
from byline.api.document_scores import DocumentScores, document_scores
from byline.api.documents import Document

if TYPE_CHECKING:
    import pandas as pd


class Shares(Document):
    """The shares of all owners in one answer, largest score first."""

    owners: tuple[OwnerShare, ...]
    """Owners of the index, at most `owners_limit`."""
    others: OtherOwners | None = None
    """Sums over the remaining owners. Null if all owners are listed."""
    positive: float
    """Shared sum: the sum of the owners' positive scores."""
    clipped: float
    """Absolute sum of the owners' negative scores, which the shares ignore."""
    coverage: Coverage
    """Coverage of the shares, which include all rows with an owner. Incomplete if a row has no owner."""

    def to_pandas(self) -> "pd.DataFrame":
        """Write the shares as a table, one row an owner. See `byline.api.answer_tables.owners_table`."""
        from byline.api.answer_tables import owners_table

        return owners_table(self.owners)


class Answer(AnswerHeader):
    """The most influential training points of one query."""

    proponents: tuple[Attribution, ...] | None
    """Largest scores first. Null if only opponents were requested."""
    opponents: tuple[Attribution, ...] | None
    """Smallest scores first. Null if only proponents were requested."""
    coverage: Coverage
    """Part of the training set that was searched."""
    stands_out: StandsOut
    """Whether the best scores stand out from the noise."""
    query_tokens: tuple[str, ...] | None = None
    """Text of each token of the query, in the order of `tokens.query_parts`. With `rather_than`, the prompt with the other
    completion follows behind. Null unless `tokens` was requested."""
    replicates: int | None = None
    """Number of independent sets of the query's draws that the scores are a mean over. Null unless `replicates` was
    requested."""
    optimism: Optimism = Optimism()
    """Fraction by which the listed scores are too high, because they are the best of many."""
    shares: Shares | None = None
    """Share of each owner. Null unless `shares` was requested."""

    def by_document(self, spans: Sequence[tuple[int, int]] | None = None) -> tuple[DocumentScores, ...]:
        """Put the listed chunks of each document together, and add up their tokens by paragraphs across chunks.

        Chunks that are not listed are not counted. A filter by the ids of a document's chunks lists all of them.

        Args:
            spans: Pairs of the first character in the document and the character after the last one. None takes paragraphs.

        Returns:
            Documents, largest score first.

        Raises:
            InvalidQuery: The answer has no tokens.
        """
        return document_scores((*(self.proponents or ()), *(self.opponents or ())), spans)

    def to_pandas(self) -> "pd.DataFrame":
        """Write the training points as a table, proponents first. See `byline.api.answer_tables.points_table`."""
        from byline.api.answer_tables import points_table

        return points_table(self.proponents or (), self.opponents or ())

    def _repr_html_(self) -> str:
        """Show the answer in a notebook: the prediction, the training points as cards, the owners' shares."""
        from byline.api.answer_html import answer_html

        owners = None if self.shares is None else self.shares.owners
        ends = (self.proponents, self.opponents)
        return answer_html(self, ends, self.stands_out, owners, self.query_tokens)


class SharesAnswer(AnswerHeader):
    """The share of each owner in one query's answer, over all rows."""

    shares: Shares
    """Shares of the owners."""
