"""A question has a digest of its own."""

import torch

from byline.attribution.request import AttributionRequest
from byline_service.attributions.receipts import question_digest


class TestQuestionDigest:
    def test_each_question_has_its_own(self):
        ones = torch.ones(2, 3)
        asked = [
            {"query": {"text": "a"}}, {"query": {"text": "b"}}, {"query_set": [{"text": "a"}]}, {"feature": [0.5, 1.0]},
            {"feature": [0.5, 2.0]}, {"gradient": {"w": ones}}, {"gradient": {"v": ones}}, {"gradient": {"w": ones.T}},
            {"gradient": {"w": ones.double()}}, {"gradient": {"w": 2 * ones}},
            {"gradient": {"w": ones.bfloat16()}},
        ]  # fmt: skip
        digests = {question_digest(AttributionRequest(**each)) for each in asked}
        assert len(digests) == len(asked)

    def test_the_same_question_has_the_same(self):
        first = AttributionRequest(query={"text": "a", "n": 1}, k=3)
        again = AttributionRequest(query={"n": 1, "text": "a"}, shares=True)
        assert question_digest(first) == question_digest(again)
