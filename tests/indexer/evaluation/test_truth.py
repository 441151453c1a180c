"""Files of true outputs: their form, and the same figures as from retraining."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from byline.errors import InvalidInput
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.evaluate import evaluate
from byline_indexer.evaluation.options import EvaluationOptions
from byline_indexer.evaluation.truth import from_file
from tests.indexer.evaluation.test_evaluate import with_
from tests.indexer.evaluation.test_jobs import Trainings


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
