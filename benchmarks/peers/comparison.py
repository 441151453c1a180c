"""Compare one library's scores with the formula's and Byline's."""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.methods import Method
from benchmarks.tasks.truth import Subject
from byline.attribution.opening import load_featurizer
from byline.index.index import AttributionIndex
from byline.search.searcher import Searcher
from byline.task import Task
from byline_indexer.build.build import build
from byline_indexer.evaluation.comparison import compare

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Scores:
    """Scores of a method, and its CPU seconds."""

    scores_QN: np.ndarray
    prepare: float = 0.0
    queries: float = 0.0

    @property
    def seconds(self) -> str:
        """Seconds to prepare and for the queries, as a cell."""
        return f"{self.prepare:.1f} + {self.queries:.2f}"


@dataclass(frozen=True)
class Problem:
    """Model, data and truth."""

    folder: Path
    """Input and output of the libraries."""
    subject: Subject
    task: Task


class Bench:
    """Runs methods on one problem."""

    def __init__(self, problem: Problem) -> None:
        self._problem, self._truth = problem, problem.subject.read()
        self._made: dict[str, Scores] = {}

    def compare(self, method: Method, python: Path | None) -> tuple[str, ...]:
        """Compute the cells of one method."""
        formula_QN = method.formula()
        ours = self._ours(method.ours.recipe, method.ours.changes)
        peer = Scores(formula_QN) if python is None else self._peer(method, python)
        whole = None if method.ours.whole is None else self._ours(method.ours.recipe, method.ours.whole)
        return (
            *(self._lds(scores) for scores in (peer, ours, Scores(formula_QN))),
            _agreement(peer, formula_QN),
            _difference(peer, formula_QN),
            _agreement(ours, formula_QN),
            _difference(whole, formula_QN),
            _agreement(peer, ours.scores_QN),
            peer.seconds if peer else "",
            ours.seconds,
        )

    def _lds(self, scores: Scores | None) -> str:
        if scores is None:
            return "fails"
        if not np.isfinite(scores.scores_QN).all():
            broken = int((~np.isfinite(scores.scores_QN)).any(axis=1).sum())
            return f"NaN ({broken} of {len(scores.scores_QN)} queries)"
        return f"{compare(scores.scores_QN, self._truth.subsets_SJ, self._truth.outputs_TSE).value:.3f}"

    def _peer(self, method: Method, python: Path) -> Scores | None:
        (self._problem.folder / "options.json").write_text(json.dumps(method.options))
        command = [python, HERE / f"{method.script}.py", self._problem.folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self._problem.folder)
        if done.returncode:
            print(f"{method.name} fails:\n{done.stderr[-1500:]}", file=sys.stderr)
            return None
        return Scores(
            np.load(self._problem.folder / "scores.npy"),
            **json.loads((self._problem.folder / "seconds.json").read_text()),
        )

    def _ours(self, recipe: str, changes: dict[str, Any]) -> Scores:
        key = json.dumps([recipe, changes], sort_keys=True)
        if key not in self._made:
            self._made[key] = self._build(recipe, changes)
        return self._made[key]

    def _build(self, recipe: str, changes: dict[str, Any]) -> Scores:
        queries, subject = list(self._problem.task.evaluation_set or ()), self._problem.subject
        with tempfile.TemporaryDirectory() as folder:
            config = subject.config({"name": recipe, **changes, "members": {"checkpoints": [0]}}, folder)
            start = time.process_time()
            path = build(config).path
            built = time.process_time()
            with AttributionIndex.open(path) as index:
                features_QK = load_featurizer(index, self._problem.task).query(queries)
                scores_QN = Searcher(index).scores(features_QK.numpy())
            return Scores(scores_QN, built - start, time.process_time() - built)


def agreement(one_QN: np.ndarray, other_QN: np.ndarray) -> float:
    """Average Pearson's correlation of two methods' scores over the queries."""
    pairs = zip(one_QN.astype(np.float64), other_QN.astype(np.float64), strict=True)
    return float(np.mean([np.corrcoef(one, other)[0, 1] for one, other in pairs]))


def difference(one_QN: np.ndarray, other_QN: np.ndarray) -> float:
    """Divide the largest difference by the largest score, after one factor for all scores of the first."""
    one, other = one_QN.astype(np.float64), other_QN.astype(np.float64)
    factor = (one * other).sum() / (one * one).sum()
    return float(np.abs(factor * one - other).max() / np.abs(other).max())


def _agreement(scores: Scores | None, other_QN: np.ndarray) -> str:
    finite = scores is not None and np.isfinite(scores.scores_QN).all()
    return f"{agreement(scores.scores_QN, other_QN):.4f}" if scores is not None and finite else ""


def _difference(scores: Scores | None, other_QN: np.ndarray) -> str:
    finite = scores is not None and np.isfinite(scores.scores_QN).all()
    return f"{difference(scores.scores_QN, other_QN):.0e}" if scores is not None and finite else ""
