"""Baselines of a measurement: summed similarities of points, one subset after the other."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from byline.index.index import AttributionIndex
from byline.loading.task_file import load_task
from byline_indexer.build.build import build
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.baselines import baseline_predictions, offered
from byline_indexer.evaluation.evaluate import evaluate
from byline_indexer.evaluation.options import EvaluationOptions
from byline_indexer.evaluation.subject import Subject
from byline_indexer.progress import Silent
from tests.indexer.evaluation.conftest import SOURCE
from tests.indexer.evaluation.test_evaluate import with_

ITEMS = np.array([0, 3, 7, 9])


class Told(Silent):
    """Keeps what people are told."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)


@pytest.fixture
def subject(config: BuildConfig, options: EvaluationOptions) -> Subject:
    return Subject(config, with_(options, batch=3), load_task(config.task), Told())


def test_predictions_are_sums_over_each_subsets_points(subject: Subject) -> None:
    task = subject.task
    subsets_SR = np.random.default_rng(0).random((5, 40)) < 0.6
    with AttributionIndex.open(build(subject.config).path) as index:
        found = baseline_predictions(subject, index, ITEMS, subsets_SR)
    model = task.model()
    model.load_state_dict(task.checkpoints[0].weights)

    def direction(item: tuple[torch.Tensor, int]) -> np.ndarray:
        h = task.representation(model, [item[0][None], None])[0].detach().double().numpy()
        return h / np.linalg.norm(h)

    for q, position in enumerate(ITEMS):
        query = task.evaluation_set[position]
        cosine_R = np.array([direction(query) @ direction(each) for each in task.train_set])
        sums = np.array([cosine_R[subset].sum() for subset in subsets_SR])
        predicted = found["representation"][:, q]
        np.testing.assert_allclose(predicted - predicted[0], sums - sums[0], atol=1e-5)
        shared = [
            len(set(task.text(query).split()) & set(task.text(each).split())) for each in task.train_set
        ]
        without = [row for row in range(40) if not shared[row]]
        one = np.ones((2, 40), dtype=bool)
        one[1, without] = False
        with AttributionIndex.open(subject.config.index.path) as index:
            same = baseline_predictions(subject, index, ITEMS[q : q + 1], one)["bm25"]
        assert same[0, 0] == same[1, 0]
    assert np.ptp(found["bm25"], axis=0).min() > 0


def test_a_task_has_the_baselines_that_it_declares(
    config: BuildConfig, options: EvaluationOptions, tmp_path: Path
) -> None:
    source = tmp_path / SOURCE.name
    source.write_text(source.read_text().replace("        text=described,\n", ""))
    found = evaluate(config, options).measured.measurement
    assert set(found.baselines) == {"representation"}


def test_a_baseline_that_fails_costs_nothing_but_itself(subject: Subject) -> None:
    task = replace(subject.task, text=lambda item: "!")
    wordless = replace(subject, loaded=replace(subject.loaded, task=task))
    with AttributionIndex.open(build(subject.config).path) as index:
        found = baseline_predictions(wordless, index, ITEMS, np.ones((2, 40), dtype=bool))
    assert set(found) == {"representation"}
    assert any("bm25 left out" in message for message in subject.observer.messages)


def test_a_package_that_is_missing_is_told(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bm25s", None)
    assert offered(subject.task, subject.observer) == ["representation"]
    assert any("pip install 'byline[bm25]'" in message for message in subject.observer.messages)
