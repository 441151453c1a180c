"""A trial scores, measures and times one index, and keeps the scores."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from byline.errors import InvalidInput
from byline.index.index import AttributionIndex
from byline.loading.task_file import load_task
from byline.metrics import agreement, predicted_outputs
from byline.recipes import recipe
from byline_indexer.build.build import build
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.candidates import Candidate
from byline_indexer.evaluation.costs import Cost
from byline_indexer.evaluation.options import EvaluationOptions
from byline_indexer.evaluation.subject import IndexRows, Subject
from byline_indexer.evaluation.trials import Kept, Trials, median_milliseconds
from byline_indexer.progress import Silent


class Listening(Silent):
    """Keeps messages."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, message: str) -> None:
        self.messages.append(message)


@pytest.fixture
def trials(kfac_config: BuildConfig, options: EvaluationOptions) -> Trials:
    subject = Subject(kfac_config, options, load_task(kfac_config.task), Listening())
    return Trials(subject, np.array([2, 5, 7, 0, 1]), tuning=3)


def test_a_trial_is_the_lds_and_the_cost_of_an_index(trials: Trials) -> None:
    chosen = Candidate(trials.subject.config.recipe)
    trial = trials.measure(chosen)
    assert trial is not None
    subject = trials.subject
    with AttributionIndex.open(build(subject.config).path) as index:
        scores = subject.scores(index, trials.items, "loss")
        truth = subject.random_truth(IndexRows.of(index))
        files = {path: path.stat().st_size for path in index.path.rglob("*") if path.is_file()}
        assert trial.cost.total_bytes == pytest.approx(sum(files.values()), abs=200), (
            "paths in the manifest differ"
        )
        rows = sum(
            size
            for path, size in files.items()
            if path.suffix in {".npy", ".faiss"} and "groups" not in path.parts
        )
        assert trial.cost.row_bytes == pytest.approx(rows / 40)
    assert trial.cost.milliseconds > 0
    predicted = predicted_outputs(scores, truth.subsets_SJ)
    np.testing.assert_allclose(trial.predicted_SE, predicted)
    wanted = agreement(predicted[:, :3], truth.of(trials.items[:3]).mean(axis=0))
    np.testing.assert_allclose(trial.lds_Q, wanted)
    assert np.isnan(trial.lds_Q[1]), "the item of zeros has one loss under every model"
    assert trial.lds == pytest.approx(np.nanmean(wanted))


def test_scores_are_kept_with_their_cost(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = Candidate(trials.subject.config.recipe)
    first = trials.measure(chosen)
    monkeypatch.setattr("byline_indexer.evaluation.trials.build", None)
    second = trials.measure(chosen)
    assert first is not None
    assert second is not None
    assert second.cost == first.cost
    np.testing.assert_array_equal(second.predicted_SE, first.predicted_SE)


def test_refined_queries_are_of_the_same_index(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = Candidate(trials.subject.config.recipe)
    first = trials.measure(chosen)
    version = (trials.subject.folder() / "candidate" / "current").read_text()
    refined = trials.measure(replace(chosen, refine=3))
    assert first is not None
    assert refined is not None
    assert (trials.subject.folder() / "candidate" / "current").read_text() == version
    assert refined.cost.row_bytes == first.cost.row_bytes
    assert not np.allclose(refined.predicted_SE, first.predicted_SE)
    with AttributionIndex.open(trials.subject.folder() / "candidate") as index:
        subject = trials.subject
        asked = replace(subject, options=subject.options.model_copy(update={"refine": 3}))
        scores = asked.scores(index, trials.items, "loss")
        truth = subject.random_truth(IndexRows.of(index))
    np.testing.assert_allclose(refined.predicted_SE, predicted_outputs(scores, truth.subsets_SJ))
    monkeypatch.setattr("byline_indexer.evaluation.trials.build", None)
    assert trials.measure(replace(chosen, refine=3)) is not None


def test_what_does_not_go_with_the_task_is_left_out(trials: Trials) -> None:
    masked = Candidate(recipe("kfac", members={"masks": 2, "mask_rate": 0.3}))
    assert trials.measure(masked) is None, "the model has no dropout"
    observer = trials.subject.observer
    assert isinstance(observer, Listening)
    assert observer.messages[-1].startswith("left out: kfac")


def test_truth_that_never_varies_ends_the_search(trials: Trials) -> None:
    constant = Trials(trials.subject, np.array([5]), tuning=1)
    with pytest.raises(InvalidInput, match="nothing to tune by"):
        constant.measure(Candidate(trials.subject.config.recipe))


def test_damaged_files_are_no_scores(tmp_path: Path) -> None:
    kept = Kept(np.ones((2, 3), np.float32), np.zeros(0, np.int64), Cost(1.5, 7, 2.5))
    path = tmp_path / "kept.npz"
    kept.write(path)
    read = Kept.read(path, items=2)
    assert read is not None
    assert read.cost == kept.cost
    assert Kept.read(path, items=3) is None
    path.write_bytes(path.read_bytes()[:50])
    assert Kept.read(path, items=2) is None
    assert Kept.read(tmp_path / "missing.npz", items=2) is None


def test_the_median_is_of_single_calls_after_a_first_one() -> None:
    asked: list[object] = []
    assert median_milliseconds(asked.append, ["a", "b"]) >= 0
    assert asked == ["a", "a", "b"]
