"""Baselines are blended with the best setting, and compared with it by a paired bootstrap."""

from dataclasses import replace

import numpy as np
import pytest

from byline.baselines.blend import blend_scores
from byline.groups import GroupOptions
from byline.loading.task_file import load_task
from byline.metrics import agreement, predicted_outputs, resampled_means
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.candidates import Candidate
from byline_indexer.evaluation.options import EvaluationOptions
from byline_indexer.evaluation.rivals import Similar, blended, compare_rivals, similarities
from byline_indexer.evaluation.subject import Subject
from byline_indexer.evaluation.trials import Trial, Trials
from byline_indexer.progress import Silent


@pytest.fixture
def trials(kfac_config: BuildConfig, options: EvaluationOptions) -> Trials:
    subject = Subject(kfac_config, options, load_task(kfac_config.task), Silent())
    return Trials(subject, np.array([2, 7, 8, 0, 1]), tuning=3)


@pytest.fixture
def best(trials: Trials) -> Trial:
    found = trials.measure(Candidate(trials.subject.config.recipe))
    assert found is not None
    return found


RANDOM = np.random.default_rng(0).standard_normal((5, 40))


def test_baselines_that_the_task_has(trials: Trials, best: Trial) -> None:
    found = similarities(trials, best)
    assert [each.name for each in found] == ["bm25", "representation"]
    assert found[0].scores_EJ.shape == (5, 40)
    assert found[0].milliseconds > 0
    grouped = trials.subject.config.model_copy(update={"groups": GroupOptions(by="owner")})
    assert similarities(replace(trials, subject=replace(trials.subject, config=grouped)), best) == []


def test_a_blend_is_a_trial_of_its_own(trials: Trials, best: Trial) -> None:
    found = blended(trials, best, [Similar("bm25", RANDOM, 2.5)], [0.0, 0.5, 2.0])
    assert [each.candidate.blend and each.candidate.blend.weight for each in found] == [0.5, 2.0]
    kept, truth = trials.scores(best.candidate)
    wanted = predicted_outputs(blend_scores(kept.scores_EJ, RANDOM, 0.5), truth.subsets_SJ)
    np.testing.assert_allclose(found[0].predicted_SE, wanted)
    assert found[0].cost == replace(best.cost, milliseconds=best.cost.milliseconds + 2.5)
    assert len(blended(trials, best, [Similar("bm25", RANDOM, 2.5)], None)) == 5


def test_the_lead_is_paired(trials: Trials, best: Trial) -> None:
    rival = compare_rivals(trials, best, [Similar("bm25", RANDOM, 1.0)])["bm25"]
    kept, truth = trials.scores(best.candidate)
    outputs = truth.of(trials.items[:3]).mean(axis=0)
    predicted = predicted_outputs(RANDOM[:3], truth.subsets_SJ)
    assert rival.value == pytest.approx(np.nanmean(agreement(predicted, outputs)))
    ahead = resampled_means(best.predicted_SE[:, :3], outputs) - resampled_means(predicted, outputs)
    assert rival.lead == pytest.approx(tuple(np.quantile(ahead, [0.025, 0.975])))
    same = compare_rivals(trials, best, [Similar("bm25", kept.scores_EJ.astype(float), 1.0)])["bm25"]
    assert same.lead == (0.0, 0.0)
    assert not same.exceeded
