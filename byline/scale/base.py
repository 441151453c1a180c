"""What every scale is: statistics, and what their result makes of the gradients of either side.

A scale acts in the space of the parameters, before the projection, where optimisers act too.
"""

from typing import Protocol

from byline.gradients.factors import BatchGradients


class Scaler(Protocol):
    """A fitted scale."""

    def train(self, gradients: BatchGradients) -> BatchGradients:
        """What training points' gradients become."""

    def query(self, gradients: BatchGradients) -> BatchGradients:
        """What queries' gradients become."""
