"""Evaluation from a build file to the card: what is measured is what scipy says of really retrained models."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr, zscore

from byline.attribution.attributor import Attributor
from byline.errors import InvalidQuery, InvalidTask
from byline.index.index import AttributionIndex
from byline.loading.task_file import load_task
from byline.recipes import recipe
from byline_indexer.build.build import build
from byline_indexer.config import BuildConfig, load_config
from byline_indexer.evaluation.designs import random_subsets
from byline_indexer.evaluation.evaluate import evaluate
from byline_indexer.evaluation.options import EvaluationOptions
from byline_indexer.scores import score_items
from tests.indexer.evaluation.conftest import SOURCE


def with_(options: EvaluationOptions, **changes: object) -> EvaluationOptions:
    return options.model_copy(update=changes)


def by_hand(
    config: BuildConfig, subsets: np.ndarray, seeds: list[int], items: list[int]
) -> list[tuple[float, float]]:
    """Spearman's and Pearson's correlation of every item, by loops over one training after another."""
    loaded = load_task(config.task).task
    with AttributionIndex.open(build(config).path) as index:
        scores = score_items(index, loaded, [loaded.evaluation_set[i] for i in items], "loss").astype(float)
    models = [loaded.model() for _ in subsets]
    for model, subset, seed in zip(models, subsets, seeds, strict=True):
        model.load_state_dict(loaded.train(np.flatnonzero(subset).tolist(), seed))
    found = []
    for q, item in enumerate(items):
        x, y = loaded.evaluation_set[item]
        with torch.no_grad():
            real = [-float(loaded.loss(model, [x[None], torch.tensor([y])])) for model in models]
        predicted = [scores[q, subset].sum() for subset in subsets]
        found.append((spearmanr(predicted, real).statistic, pearsonr(predicted, real).statistic))
    return found


def test_lds_is_scipys_of_models_trained_by_hand(config: BuildConfig, options: EvaluationOptions) -> None:
    done = evaluate(config, with_(options, tuning=0))
    details = [each for each in done.measured.details if not each["dropped"]]
    assert len(details) == 11
    design = random_subsets(40, 12, 0.5, 0)
    expected = by_hand(config, design.subsets_SJ, list(range(12)), [each["item"] for each in details])
    np.testing.assert_allclose([(d["spearman"], d["pearson"]) for d in details], expected, atol=1e-6)
    found = done.measured.measurement
    assert found.value == pytest.approx(np.mean([spearman for spearman, _ in expected]))
    assert found.value > 0.5
    assert found.interval[0] < found.value < found.interval[1]
    assert found.protocol.model_dump() == {
        "target": "loss", "output": "loss", "queries": 12, "dropped": 1, "tuned_on": 0, "subsets": 12, "alpha": 0.5,
        "refine": 0, "seeds": 1, "paired": False, "owners": None, "seed": 0, "wrong_labels": None, "truth": "retrained",
    }  # fmt: skip
    assert found.ceiling is None


def test_refined_scores_are_measured_beside_the_indexs_own(
    config: BuildConfig, options: EvaluationOptions
) -> None:
    with pytest.raises(InvalidQuery, match="'if_exact' inverts its own curvature"):
        evaluate(config, with_(options, refine=20))
    config = config.model_copy(update={"recipe": recipe("ekfac")})
    first = evaluate(config, options).measured.measurement
    done = evaluate(config, with_(options, refine=20))
    assert [each.protocol.refine for each in done.card.measurements] == [0, 20]
    assert "queries (refine 20)" in done.measured.measurement.sample
    assert done.measured.measurement.value != first.value
    loaded = load_task(config.task).task
    with AttributionIndex.open(config.index.path) as index:
        items = [loaded.evaluation_set[i] for i in range(3)]
        plain, refined = (score_items(index, loaded, items, "loss", refine=steps) for steps in (0, 20))
    expected = Attributor.open(config.index.path).item_scores(items, refine=20)
    np.testing.assert_allclose(refined, expected, rtol=1e-5, atol=1e-6)
    assert not np.allclose(refined, plain, rtol=0.01)


def test_the_card_and_the_report_hold_every_metric(config: BuildConfig, options: EvaluationOptions) -> None:
    evaluate(config, options)
    done = evaluate(config, with_(options, metric="loo", points=5))
    with AttributionIndex.open(config.index.path) as index:
        assert index.quality.card == done.card
    assert [each.metric for each in done.card.measurements] == ["lds", "loo"]
    report = json.loads(done.report_file.read_text())
    assert set(report["metrics"]) == {"lds", "loo"}
    assert report["manifest"] == done.card.manifest
    assert len(report["metrics"]["lds"]["details"]) == 8


@pytest.mark.parametrize(
    ("line", "says"),
    [("        train=train,\n", "Task.train"), ("        evaluation_set=[", "Task.evaluation_set")],
)
def test_what_the_task_lacks_is_said_before_anything_is_built(
    build_file: Path, config: BuildConfig, options: EvaluationOptions, tmp_path: Path, line: str, says: str
) -> None:
    source = tmp_path / SOURCE.name
    text = source.read_text()
    assert line in text
    replacement = "" if says == "Task.train" else "        evaluation_set=[][:0] and ["
    source.write_text(text.replace(line, replacement))
    with pytest.raises(InvalidTask, match=says):
        evaluate(config, options)
    assert not config.index.path.exists()


def test_the_card_has_the_blend_beside_the_index_under_its_own_name(
    build_file: Path, options: EvaluationOptions
) -> None:
    build_file.write_text(f'{build_file.read_text()}[blend]\nbaseline = "representation"\nweight = 0.5\n')
    config = load_config(build_file)
    found = evaluate(config, options).card.measurements[0]
    plain = evaluate(config.model_copy(update={"blend": None}), options).card.measurements[0]
    assert (found.value, found.interval) == (plain.value, plain.interval), "the blend is no influence"
    assert set(found.further) - set(plain.further) == {"blend-representation-0.5"}
    task = load_task(config.task).task
    details = json.loads((options.out / "report.json").read_text())["metrics"]["lds"]["details"]
    items = [each["item"] for each in details if not each["dropped"]]
    queries = [task.evaluation_set[item] for item in items]
    with AttributionIndex.open(config.index.path) as index:
        influence = score_items(index, task, queries, "loss").astype(float)
    x, y = np.stack([x.numpy() for x, _ in task.train_set]), np.stack([x.numpy() for x, _ in queries])
    norms = np.linalg.norm(y, axis=1)[:, None] * np.linalg.norm(x, axis=1)
    blended = zscore(influence, axis=1) + 0.5 * zscore(y.astype(float) @ x.T.astype(float) / norms, axis=1)
    truth = np.load(options.out / "truth-lds.npz")
    outputs = truth["outputs"].mean(axis=0)[:, items]
    wanted = [spearmanr(truth["subsets"] @ row, outputs[:, q]).statistic for q, row in enumerate(blended)]
    assert found.further["blend-representation-0.5"] == pytest.approx(np.mean(wanted), abs=1e-6)
