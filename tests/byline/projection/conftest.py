"""Fixtures that the test modules of this folder share."""

import pytest

from byline.gradients.checks import build_collector
from byline.gradients.outer_products.factors import BatchGradients
from tests.reference import models


@pytest.fixture(params=["mlp", "transformer"])
def collected(request: pytest.FixtureRequest) -> tuple[tuple, BatchGradients]:
    case = models.CASES[request.param]()
    collector = build_collector(case.model, case.loss, case.sample)
    return collector.blocks, collector.collect(case.loss, case.batch, case.count)
