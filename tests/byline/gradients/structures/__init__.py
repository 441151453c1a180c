"""Models that use parameters, batches and modules in ways that one call of one module a batch does not cover."""

from tests.byline.gradients.cases import ModelCase
from tests.byline.gradients.structures import layouts, parameters, routes


def cases() -> list[ModelCase]:
    """Every structure."""
    return [*parameters.cases(), *routes.cases(), *layouts.cases()]
