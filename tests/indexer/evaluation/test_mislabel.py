"""Wrong labels are trained on, indexed, and found by self-influence as often as scikit-learn says."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from byline.errors import InvalidInput, InvalidTask
from byline.groups import GroupOptions
from byline.index.index import AttributionIndex
from byline.loading.task_file import load_task
from byline.recipes import recipe
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.evaluate import evaluate
from byline_indexer.evaluation.mislabel import draw_wrong_points, mislabeled
from byline_indexer.evaluation.options import EvaluationOptions
from tests.indexer.evaluation.conftest import SOURCE


@pytest.fixture
def mislabel(options: EvaluationOptions) -> EvaluationOptions:
    return options.model_copy(update={"metric": "mislabel"})


def test_the_area_is_scikit_learns_of_the_wrong_models_index(
    config: BuildConfig, mislabel: EvaluationOptions, trainings: Callable[[], list[str]]
) -> None:
    done = evaluate(config, mislabel)
    assert trainings() == ["40 0"]
    wrong = draw_wrong_points(40, 0.1, 0)
    details = sorted(done.measured.details, key=lambda each: each["row"])
    assert [each["wrong"] for each in details] == wrong.tolist()
    found = done.measured.measurement
    values = [each["self_influence"] for each in details]
    assert found.value == pytest.approx(roc_auc_score(wrong, values))
    assert found.value > 0.7
    assert found.sample == "4 wrong labels of 40"
    with AttributionIndex.open(mislabel.out / "mislabeled") as index:
        np.testing.assert_array_equal(index.self_influence, values)
        assert index.fingerprint.task != load_task(config.task).digest
    with AttributionIndex.open(config.index.path) as index:
        assert index.quality.card == done.card
    assert evaluate(config, mislabel).measured == done.measured
    assert trainings() == ["40 0"]


def test_what_cannot_be_measured_is_said_before_anything_is_built(
    config: BuildConfig, mislabel: EvaluationOptions
) -> None:
    for changes, says in (
        ({"recipe": recipe("grad_cos")}, "divides every feature by its length"),
        ({"recipe": recipe("if_cg")}, "holds no self-influence"),
        ({"recipe": recipe("dvemb")}, "without a recorded run"),
        ({"groups": GroupOptions(by="owner")}, "index of points"),
    ):
        with pytest.raises(InvalidInput, match=says):
            evaluate(config.model_copy(update=changes), mislabel)
    with pytest.raises(InvalidInput, match="--wrong"):
        evaluate(config, mislabel.model_copy(update={"wrong": 0.001}))
    source = config.index.path.parent / SOURCE.name
    source.write_text(source.read_text().replace(", mislabeled=mislabeled", ""))
    with pytest.raises(InvalidTask, match=r"Task\.mislabeled"):
        evaluate(config, mislabel)
    assert not config.index.path.exists()


def test_labels_that_stay_right_are_an_error(config: BuildConfig) -> None:
    declared = load_task(config.task).task
    assert len(mislabeled(declared, [3, 5], 0).train_set) == 40
    with pytest.raises(InvalidTask, match="other items at 2 rows, got 2 that are as they were"):
        mislabeled(replace(declared, mislabeled=lambda rows, seed: declared), [3, 5], 0)


def test_some_labels_are_wrong_and_some_are_not() -> None:
    assert draw_wrong_points(100, 0.1, 0).sum() == 10
    with pytest.raises(InvalidInput, match="--wrong"):
        draw_wrong_points(3, 0.1, 0)
