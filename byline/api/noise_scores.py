"""Wire documents of scores over independent draws of the noise in a query's loss, and by its bands."""

from byline.api.documents import Document


class BandScore(Document):
    """The part of a score that belongs to one band, such as a range of timesteps."""

    target: str
    """Target of the band, such as `denoising_0_249` for minus the loss at timesteps 0 to 249."""
    score: float
    """Part of the score."""
    standard_error: float | None
    """Standard error of the part over the replicates. Null with one replicate."""


class NoiseScore(Document):
    """A score over independent draws of the query's noise. The training points keep their own draws."""

    standard_error: float | None
    """Standard error of the score, a mean over the replicates. Null with one replicate."""
    bands: tuple[BandScore, ...] = ()
    """Parts of the score by band, early timesteps first. They add up to the score. Empty for targets other than
    `loss`."""
