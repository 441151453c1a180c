"""The blend of an index: its baseline and weight, in build files, beside a version and in answers."""

from pydantic import ConfigDict, Field

from byline.api.documents import Document
from byline.api.terms import Similarity


class Blend(Document):
    """A baseline that is blended with influence, and its weight."""

    model_config = ConfigDict(extra="forbid")

    baseline: Similarity
    """Baseline that is added to influence: `bm25` or `representation`."""
    weight: float = Field(default=0.25, ge=0, le=1000)
    """Weight of the baseline's z-scores beside influence's. 0 ranks as influence. `byline tune` fits it."""

    @property
    def text(self) -> str:
        """Name it for people, such as `influence + 0.25 bm25`."""
        return f"influence + {self.weight:g} {self.baseline}"
