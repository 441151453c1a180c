"""Completions are generated the same every time."""

import math

import pytest
import torch

from byline.tasks import Generation, causal_language_model
from byline.tasks.documents import IGNORED
from tests.byline.tasks.test_causal_lm import CONTEXT, ask
from tests.byline.tasks.test_token_objectives import losses


def test_a_missing_completion_is_generated_and_the_same_every_time(task, model):
    parsed = ask(task, text="def add(a")
    assert not parsed.complete
    first, second = (task.query.predict(model, parsed.item) for _ in range(2))
    assert first.output == second.output
    torch.testing.assert_close(first.item["input_ids"], second.item["input_ids"])
    count = int((first.item["labels"] != IGNORED).sum())
    assert count == first.output["tokens"] > 0
    likelihood = -losses(task, model, [first.item], "likelihood").item()
    assert first.output["probability"] == pytest.approx(math.exp(likelihood), 1e-6)
    mean = losses(task, model, [first.item]).item()
    assert first.output["token_probability"] == pytest.approx(math.exp(-mean), 1e-6)
    assert len(first.item["input_ids"]) <= CONTEXT


def test_sampling_depends_on_the_seed_alone(local, documents, model):
    def drawn(seed: int) -> list[int]:
        options = Generation(tokens=8, temperature=2.0, seed=seed)
        task = causal_language_model("tiny", local, documents, options)
        return task.query.predict(model, ask(task, text="def").item).item["input_ids"].tolist()

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
