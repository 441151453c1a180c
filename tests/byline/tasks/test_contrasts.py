"""Contrasts and target tokens asked of an index: signs, linearity, and parts of both completions."""

import numpy as np
import pytest

import byline
from byline.recipes import recipe
from byline.tasks import Document, causal_language_model

PROMPT, ONE, OTHER = "def add(", "a, b):", "x: int"


@pytest.fixture
def index(local, documents, tmp_path):
    taught = Document(text=PROMPT, completion=ONE, id="taught")
    task = causal_language_model("tiny", local, [*documents, taught])
    return byline.build(task, recipe("grad_dot", projection={"size": 2048}), tmp_path, progress=False)


def scores(index, **query):
    return index.scores([{"text": PROMPT, **query}])[0].astype(np.float64)


def test_a_contrast_is_the_difference_of_two_scores_and_changes_sign(index):
    one, other = scores(index, completion=ONE), scores(index, completion=OTHER)
    contrast = scores(index, completion=ONE, rather_than=OTHER)
    largest = np.abs(one).max()
    np.testing.assert_allclose(contrast, one - other, atol=1e-4 * largest)
    np.testing.assert_allclose(
        scores(index, completion=OTHER, rather_than=ONE), -contrast, atol=1e-4 * largest
    )
    answer = index.attribute({"text": PROMPT, "completion": ONE, "rather_than": OTHER}, k=1)
    assert answer.proponents[0].example.id == "taught#0", "trained on A, it made A likelier than B"
    assert answer.proponents[0].score > 0


def test_target_tokens_add_up_to_the_whole_completion(index):
    asked = {"completion": ONE}
    query = {"text": PROMPT, **asked}
    tokens = len(index.task.query.parse(index.task.query.payload(**query)).item["labels"])
    prompt = len(index.task.query.parse(index.task.query.payload(text=PROMPT)).item["labels"])
    count = tokens - prompt
    singles = [scores(index, **asked, target_tokens=[t, t + 1]) for t in range(count)]
    whole = scores(index, **asked)
    np.testing.assert_allclose(np.mean(singles, axis=0), whole, atol=1e-4 * np.abs(whole).max())


def test_parts_of_a_contrast_add_up_over_both_completions(index):
    query = {"text": PROMPT, "completion": ONE, "rather_than": OTHER}
    answer = index.attribute(query, k=2, direction="both", tokens=True)
    assert "".join(answer.query_tokens) == PROMPT + ONE + PROMPT + OTHER
    alone = index.attribute({"text": PROMPT, "completion": ONE}, k=len(index.task.train_set), tokens=True)
    by_row = {point.row: point.tokens.query_parts for point in alone.proponents}
    for point in [*answer.proponents, *answer.opponents]:
        assert sum(point.tokens.query_parts) == pytest.approx(point.score, rel=1e-4)
        first = by_row[point.row]
        np.testing.assert_allclose(
            point.tokens.query_parts[: len(first)], first, rtol=1e-3, atol=1e-4 * max(map(abs, first))
        )


@pytest.mark.parametrize("target", ["margin", "likelihood"])
def test_other_targets_are_contrasted_too(index, target):
    query = {"text": PROMPT, "completion": ONE, "rather_than": OTHER}
    answer = index.attribute(query, k=2, target=target, tokens=True)
    one, other = (
        index.scores([{"text": PROMPT, "completion": each}], target=target)[0] for each in (ONE, OTHER)
    )
    for point in answer.proponents:
        expected = float(one[point.row] - other[point.row])
        assert point.score == pytest.approx(expected, rel=1e-3)
        assert sum(point.tokens.query_parts) == pytest.approx(point.score, rel=1e-4)
