"""Trained models are kept, resumed and checked."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from byline.errors import BuildFailed
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.evaluate import evaluate
from byline_indexer.evaluation.options import EvaluationOptions
from tests.forks import Forks
from tests.indexer.evaluation.conftest import SOURCE
from tests.indexer.evaluation.test_evaluate import with_

ROOT = Path(__file__).parents[3]


Trainings = Callable[[], list[str]]


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(
    build_file: Path, trainings: Trainings, tmp_path: Path, forks: Forks
) -> None:
    source = tmp_path / SOURCE.name
    whole = source.read_text()
    log = 'LOG = Path(__file__).with_name("trained.log")'
    assert log in whole
    command = ["byline", "evaluate", str(build_file), "--out", str(tmp_path / "out")]
    command += ["--subsets", "10", "--queries", "6", "--tuning", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    # What ends the process is no part of the Task's source, so that its digest stays the same.
    source.write_text(
        whole.replace("BREAK_AFTER = 10**9", 'BREAK_AFTER = int(os.environ.get("BREAK_AFTER", 10**9))')
    )
    killed = forks.run(command, ROOT, {**environment, "BREAK_AFTER": "4"})
    assert killed.returncode == 9
    assert len(list((tmp_path / "out" / "models").glob("*.npz"))) == 4
    (tmp_path / "out" / "models" / ".tmp-1-half").write_bytes(b"half")
    ended = forks.run(command, ROOT, environment)
    assert ended.returncode == 0
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
