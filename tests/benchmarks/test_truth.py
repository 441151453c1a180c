"""Truths of the benchmarks: in the form that `byline evaluate --truth` reads, and kept part by part."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.tasks.truth import Retraining, keep_truth, random_halves, subsets_of, truth_files
from byline_indexer.evaluation.truth import from_file

ROWS, SUBSETS, SEEDS, ITEMS = 10, 5, 2, 6


class Trainer:
    """Gives every subset and seed outputs of its own, and stops after so many calls."""

    def __init__(self, calls: int = 100) -> None:
        self.calls: list[tuple[range, int]] = []
        self.left = calls

    def __call__(self, subsets: range, seed: int) -> np.ndarray:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        self.calls.append((subsets, seed))
        return np.array([[1000 * seed + 10 * subset + item for item in range(ITEMS)] for subset in subsets])


def retraining(trainer: Trainer) -> Retraining:
    return Retraining(subsets_SR=random_halves(SUBSETS, ROWS), seeds=SEEDS, together=2, train=trainer)


def test_halves_are_halves() -> None:
    halves = random_halves(SUBSETS, ROWS)
    assert (halves.sum(axis=1) == ROWS // 2).all()
    assert len(np.unique(halves, axis=0)) == SUBSETS


def test_subsets_of_a_fine_tuning_case() -> None:
    owners = ["b", "a", "b", "c"] * 10
    halves, removals = (subsets_of(kind, owners, 7, 5) for kind in ("halves", "removals"))
    assert halves.shape == (7, 40)
    assert (halves.sum(axis=1) == 20).all()
    assert removals.shape == (5, 40)
    assert (removals.sum(axis=1) == 38).all()
    assert len(np.unique(removals, axis=0)) == 5
    left_out = [np.array(owners)[~subset] for subset in subsets_of("owners", owners, 7, 5)]
    assert [(set(names), len(names)) for names in left_out] == [({"a"}, 10), ({"b"}, 20), ({"c"}, 10)]


def test_reported_and_tuning_queries_have_files_of_their_own() -> None:
    files = truth_files(Path("case"), "owners", 2, 4)
    assert [(str(path), list(range(6))[items]) for path, items in files.items()] == [
        ("case/owners-2.npz", [0, 1, 2, 3]),
        ("case/owners-2-tuning.npz", [4, 5]),
    ]


def test_each_part_of_the_evaluation_set_has_a_file_that_evaluate_reads(tmp_path: Path) -> None:
    files = {tmp_path / "truth.npz": slice(0, 4), tmp_path / "tuning.npz": slice(4, None)}
    keep_truth(retraining(Trainer()), files)
    for path, items in files.items():
        numbers = range(ITEMS)[items]
        found = from_file(path, ROWS, len(numbers), None)
        np.testing.assert_array_equal(found.subsets_SJ, random_halves(SUBSETS, ROWS))
        for seed in range(SEEDS):
            for subset in range(SUBSETS):
                wanted = [1000 * seed + 10 * subset + item for item in numbers]
                np.testing.assert_array_equal(found.outputs_TSE[seed, subset], wanted)


def test_a_stopped_run_continues_and_a_finished_one_trains_nothing(tmp_path: Path) -> None:
    files = {tmp_path / "truth.npz": slice(None)}
    first, second, third = Trainer(calls=4), Trainer(), Trainer()
    with pytest.raises(KeyboardInterrupt):
        keep_truth(retraining(first), files)
    keep_truth(retraining(second), files)
    assert first.calls + second.calls == [
        (subsets, seed) for seed in range(SEEDS) for subsets in (range(2), range(2, 4), range(4, 5))
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["truth.npz"]
    keep_truth(retraining(third), files)
    assert not third.calls
