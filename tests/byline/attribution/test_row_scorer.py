"""Scores of all rows: batches change nothing, and what does not fit is named."""

import numpy as np
import pytest
import torch

from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline.errors import InvalidInput, InvalidQuery

QUERIES = [{"x": [float(place)] * 6, "label": place % 3} for place in range(5)]


def items() -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.tensor([query["x"] for query in QUERIES])
    return inputs, torch.tensor([query["label"] for query in QUERIES])


def test_payloads_and_items_in_any_batch_have_the_scores_of_answers(attributor: Attributor) -> None:
    whole = attributor.scores(QUERIES)
    assert whole.shape == (5, attributor.index.rows)
    np.testing.assert_allclose(attributor.scores(QUERIES, batch=2), whole, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(attributor.scores(items(), batch=3), whole, rtol=1e-4, atol=1e-5)
    for query, scores_R in zip(QUERIES, whole, strict=True):
        for point in attributor.attribute(query, k=4).proponents or ():
            assert scores_R[point.row] == pytest.approx(point.score, rel=1e-4, abs=1e-5)


def test_what_does_not_fit_is_named(attributor: Attributor) -> None:
    rows = attributor._rows
    with pytest.raises(InvalidQuery, match=r"^query 2: "):
        rows.of_requests([AttributionRequest(query=query) for query in (QUERIES[0], {"x": [1.0]})], 32)
    with pytest.raises(InvalidInput, match="batch"):
        rows.of_requests([], 0)
    with pytest.raises(InvalidInput, match="batch"):
        attributor.item_scores(items(), batch=0)
    with pytest.raises(InvalidQuery, match="refine"):
        attributor.item_scores(items(), refine=1_000)
