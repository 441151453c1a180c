"""Evaluation from a build file to the card: what is measured is what scipy says of really retrained models."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr

from byline.errors import BuildFailed, InvalidInput, InvalidTask
from byline.index.index import AttributionIndex
from byline.loading.task_file import load_task
from byline_indexer.build.build import build
from byline_indexer.cli.evaluate import MetricName
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.designs import leave_one_out, random_subsets
from byline_indexer.evaluation.evaluate import evaluate
from byline_indexer.evaluation.metrics import METRICS
from byline_indexer.evaluation.options import EvaluationOptions
from byline_indexer.evaluation.training import train
from byline_indexer.evaluation.truth import from_file
from byline_indexer.scores import score_items
from tests.indexer.evaluation.conftest import SOURCE

ROOT = Path(__file__).parents[3]
Trainings = Callable[[], list[str]]


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
        "seeds": 1, "seed": 0, "wrong_labels": None, "truth": "retrained",
    }  # fmt: skip
    assert found.ceiling is None


def test_leave_one_out_is_scipys(config: BuildConfig, options: EvaluationOptions) -> None:
    found = evaluate(config, with_(options, metric="loo", points=10, tuning=0)).measured
    details = [each for each in found.details if not each["dropped"]]
    design = leave_one_out(40, 10, 0)
    expected = by_hand(config, design.subsets_SJ, [0] * 10, [each["item"] for each in details])
    np.testing.assert_allclose([(d["spearman"], d["pearson"]) for d in details], expected, atol=1e-4)
    assert found.measurement.further["pearson"] > 0.8


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


def test_nothing_is_trained_twice(
    config: BuildConfig, options: EvaluationOptions, trainings: Trainings
) -> None:
    first = evaluate(config, options)
    assert len(trainings()) == 12
    assert evaluate(config, options).measured == first.measured
    evaluate(config, with_(options, output="margin", queries=3))
    assert len(trainings()) == 12
    evaluate(config, with_(options, subsets=15, seeds=2))
    assert len(trainings()) == 30


def test_other_content_is_trained_anew(
    config: BuildConfig, options: EvaluationOptions, trainings: Trainings, tmp_path: Path
) -> None:
    evaluate(config, options)
    source = tmp_path / SOURCE.name
    source.write_text(source.read_text().replace("lr=0.5", "lr=0.4"))
    evaluate(config, options)
    assert len(trainings()) == 24


def test_several_processes_find_what_one_finds(
    config: BuildConfig, options: EvaluationOptions, trainings: Trainings, tmp_path: Path
) -> None:
    alone = evaluate(config, options).measured
    several = config.model_copy(update={"build": config.build.model_copy(update={"workers": 2})})
    together = evaluate(several, with_(options, out=tmp_path / "other")).measured
    assert alone == together
    assert len(trainings()) == 24
    files = [sorted((tmp_path / name / "models").iterdir()) for name in ("out", "other")]
    contents = [[(p.name, p.read_bytes()) for p in each] for each in files]
    assert contents[0] == contents[1]


def test_a_killed_run_goes_on_where_it_was(build_file: Path, trainings: Trainings, tmp_path: Path) -> None:
    source = tmp_path / SOURCE.name
    whole = source.read_text()
    log = 'LOG = Path(__file__).with_name("trained.log")'
    assert log in whole
    command = [sys.executable, "-m", "byline", "evaluate", str(build_file), "--out", str(tmp_path / "out")]
    command += ["--subsets", "10", "--queries", "6", "--tuning", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    # What ends the process is no part of the Task's source, so that its digest stays the same.
    source.write_text(
        whole.replace("BREAK_AFTER = 10**9", 'BREAK_AFTER = int(os.environ.get("BREAK_AFTER", 10**9))')
    )
    killed = subprocess.run(
        command, env={**environment, "BREAK_AFTER": "4"}, capture_output=True, check=False
    )
    assert killed.returncode == 9
    assert len(list((tmp_path / "out" / "models").glob("*.npz"))) == 4
    (tmp_path / "out" / "models" / ".tmp-1-half").write_bytes(b"half")
    ended = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
    assert "LDS" in ended.stdout
    assert len(trainings()) == 11
    assert "4 of 10 models were trained before" in ended.stderr


def test_a_damaged_output_is_trained_again(
    config: BuildConfig, options: EvaluationOptions, trainings: Trainings, tmp_path: Path
) -> None:
    first = evaluate(config, options).measured
    one, two, *_ = sorted((tmp_path / "out" / "models").iterdir())
    data = bytearray(one.read_bytes())
    with np.load(one) as arrays:
        data[data.index(arrays["outputs/loss"].tobytes())] ^= 1
    one.write_bytes(data)
    two.write_bytes(b"")
    assert evaluate(config, options).measured == first
    assert len(trainings()) == 14


def test_an_output_that_vanishes_is_said_and_never_skipped(
    config: BuildConfig, options: EvaluationOptions, tmp_path: Path
) -> None:
    evaluate(config, options)
    one = sorted((tmp_path / "out" / "models").iterdir())[0]
    with np.load(one) as arrays:
        kept = {name: arrays[name] for name in arrays.files if name != "outputs/margin"}
    np.savez(one, **kept)
    with pytest.raises(BuildFailed, match=r"has no 'margin' of its model: delete it"):
        evaluate(config, with_(options, output="margin"))


def test_truth_from_a_file_is_truth_from_retraining(
    config: BuildConfig, options: EvaluationOptions, trainings: Trainings, tmp_path: Path
) -> None:
    first = evaluate(config, with_(options, seeds=2)).measured
    trained = len(trainings())
    from_file = evaluate(
        config, with_(options, truth=tmp_path / "out" / "truth-lds.npz", out=tmp_path / "other")
    )
    assert len(trainings()) == trained
    assert from_file.measured.details == first.details
    found = from_file.measured.measurement
    assert (found.value, found.interval, found.ceiling) == (
        first.measurement.value, first.measurement.interval, first.measurement.ceiling,
    )  # fmt: skip
    assert found.protocol.truth == "file"
    assert found.protocol.alpha is None
    assert found.ceiling is not None


@pytest.mark.parametrize("by", ["owner", "random"])
def test_groups_are_kept_or_left_out_whole(
    config: BuildConfig, options: EvaluationOptions, tmp_path: Path, by: str
) -> None:
    groups = {"by": by} if by == "owner" else {"by": by, "size": 2}
    grouped = BuildConfig.model_validate({**config.model_dump(), "groups": groups, "recipe": config.recipe})
    found = evaluate(grouped, options).measured.measurement
    assert found.value > 0.5
    truth = dict(np.load(tmp_path / "out" / "truth-lds.npz"))
    assert truth["subsets"].shape == (12, 40)
    assert (truth["subsets"].sum(axis=1) == 20).all()
    with AttributionIndex.open(grouped.index.path) as index:
        for group in range(len(index.groups)):
            kept = truth["subsets"][:, index.groups[group]]
            assert (kept == kept[:, :1]).all()
    from_file = with_(options, truth=tmp_path / "out" / "truth-lds.npz")
    assert evaluate(grouped, from_file).measured.measurement.value == found.value
    divided = {**truth, "subsets": ~np.eye(12, 40, dtype=bool)}
    np.savez(tmp_path / "divided.npz", **divided)
    with pytest.raises(InvalidInput, match="whole groups"):
        evaluate(grouped, with_(options, truth=tmp_path / "divided.npz"))


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"subsets": np.ones((3, 40)), "outputs": np.ones((3, 12))},
        {"subsets": np.ones((3, 39), bool), "outputs": np.ones((3, 12))},
        {"subsets": np.ones((3, 40), bool), "outputs": np.ones((2, 12))},
        {"subsets": np.ones((3, 40), bool), "outputs": np.ones((0, 3, 12))},
        {"subsets": np.ones((3, 40), bool), "outputs": np.full((3, 12), "x")},
        {"subsets": np.array(True), "outputs": np.ones(())},
    ],
)
def test_a_truth_file_of_another_form_is_refused(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "truth.npz", **arrays)
    with pytest.raises(InvalidInput, match=r"bool \[S, 40\]"):
        from_file(tmp_path / "truth.npz", 40, 12, None)


@pytest.mark.parametrize("content", [None, b"no file of numpy's", b"PK\x03\x04"])
def test_a_truth_file_that_is_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "truth.npz").write_bytes(content)
    with pytest.raises(InvalidInput, match=r"expected .*truth.npz to be"):
        from_file(tmp_path / "truth.npz", 40, 12, None)


def test_a_truth_file_of_objects_or_with_a_damaged_byte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "truth.npz"
    truth = {"subsets": np.ones((3, 40), bool), "outputs": np.ones((3, 12))}
    np.savez(path, **{**truth, "outputs": np.full((3, 12), None)})
    with pytest.raises(InvalidInput, match="ValueError"):
        from_file(path, 40, 12, None)
    np.savez_compressed(path, **truth)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with suppress(InvalidInput):  # or it is read: a date, or a name that nothing reads
            from_file(path, 40, 12, None)


def test_a_truth_file_is_read_before_anything_is_built(
    config: BuildConfig, options: EvaluationOptions, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=r"bool \[S, 40\]"):
        evaluate(config, with_(options, truth=tmp_path / "none.npz"))
    assert not config.index.path.exists()


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


def test_trainings_that_fail_say_how(config: BuildConfig, options: EvaluationOptions, tmp_path: Path) -> None:
    source = tmp_path / SOURCE.name
    whole = source.read_text()
    for broken, says in {
        "raise KeyError('x')": "Task.train raised KeyError on 20 rows with seed 0",
        "return 3": "expected Task.train to return a state dict, name -> tensor, got int",
        "return {'weight': torch.full((3, 4), torch.nan)}": "expected weights that are numbers, got NaN",
        "return {'weight': torch.zeros(2, 2)}": "shapes are not the model's",
        "return fit(x, y, 0)": "nothing to predict",
    }.items():
        source.write_text(whole.replace("return fit(x[chosen], y[chosen], seed)", broken))
        with pytest.raises((InvalidTask, InvalidInput), match=says):
            evaluate(config, options)


def test_every_metric_can_be_named() -> None:
    assert {each.value for each in MetricName} == set(METRICS)


def test_training_leaves_torchs_generator_as_it_was(config: BuildConfig) -> None:
    loaded = load_task(config.task).task
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)

    def noisy(rows: object, seed: int) -> dict[str, torch.Tensor]:
        return {"weight": torch.rand(3, 4)}

    found = [train(replace(loaded, train=noisy), np.arange(3), seed)["weight"] for seed in (1, 1, 2)]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert torch.equal(torch.rand(3), expected)
