"""From features of a batch to k numbers an example: one module a projection."""

from byline.projection.base import IdentityProjection
from byline.projection.dense import DenseProjection
from byline.projection.eigenbasis import EigenbasisProjection
from byline.projection.factorised import FactorisedProjection
from byline.projection.masking import FactorisedGrassProjection, GrassProjection, MaskProjection
from byline.projection.ritz import RitzProjection, RitzProjector
from byline.projection.sjlt import SjltProjection

__all__ = [
    "DenseProjection",
    "EigenbasisProjection",
    "FactorisedGrassProjection",
    "FactorisedProjection",
    "GrassProjection",
    "IdentityProjection",
    "MaskProjection",
    "RitzProjection",
    "RitzProjector",
    "SjltProjection",
]
