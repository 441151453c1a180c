"""Other libraries on the same model, data and truth: LDS, agreement of the scores, seconds.

    python -m benchmarks.peers            # about 10 minutes on one core; the first run installs 1.5 GB in .bench/peers
    python -m benchmarks.peers --smoke    # seconds: no library is installed, the formulas stand in for them
    python -m benchmarks.peers --only dattri-trak kronfluence-ekfac

The network of `benchmarks.digits`, its first model, its 100 reported queries and its truth. Each library runs in a
process of its own, in an environment of its own with pinned versions, on one thread. The formula is computed
without projection or truncation in float64 (dense.py). Agreement is Pearson's correlation over the training points,
averaged over queries.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file

from benchmarks.digits_task import CACHE, FULL, SMOKE, keep, smoke, task
from benchmarks.digits_truth import Protocol, digits, full_models, retrained_outputs, subsets
from benchmarks.lds import lds
from benchmarks.peers.dense import Dense
from byline.query_features import Featurizer
from byline.search.searcher import Searcher
from byline.store.index import AttributionIndex
from indexer.build import build
from indexer.config import BuildConfig

HERE = Path(__file__).resolve().parent
ENVIRONMENT = CACHE / "peers"
TRAK_DAMPING, TRAK_SIZE, EKFAC_DAMPING = 3.0, 1024, 0.1


@dataclass(frozen=True)
class Method:
    """One method of another library, the formula it stands for, and the same with Byline."""

    name: str
    script: str
    formula: str
    recipe: str
    changes: dict[str, Any] = field(default_factory=dict)


EKFAC = {"curvature": {"damping": EKFAC_DAMPING}}
METHODS = [
    Method("dattri-grad-dot", "dattri_scores.py", "grad_dot", "grad_dot"),
    Method("dattri-trak", "dattri_scores.py", "trak", "trak"),
    Method("traker-damped", "trak_scores.py", "trak", "trak"),
    Method("traker-default", "trak_scores.py", "trak", "trak"),
    Method("dattri-ekfac", "dattri_scores.py", "ekfac", "ekfac", EKFAC),
    Method("kronfluence-ekfac", "kronfluence_scores.py", "ekfac", "ekfac", EKFAC),
    Method("kronfluence-ekfac-given-labels", "kronfluence_scores.py", "ekfac", "ekfac", EKFAC),
]


def main() -> None:
    """Run every library and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny run without the libraries")
    parser.add_argument("--only", nargs="*", help="names of the first column")
    options = parser.parse_args()
    torch.set_num_threads(1)
    methods = [method for method in METHODS if method.name in (options.only or method.name)]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(SMOKE if options.smoke else FULL, Path(folder))
        python = None if options.smoke else environment()
        table = Table(
            "library, method", "its LDS", "ours", "the formula's", "it ~ formula", "ours ~ formula", "it ~ ours",
            "its seconds", "our seconds", title="digits, 1 checkpoint: seconds to prepare + for all queries",
        )  # fmt: skip
        for method in methods[::3] if options.smoke else methods:
            cells = bench.compare(method, python)
            print(method.name, *cells, flush=True)
            table.add_row(method.name, *cells)
    Console(width=160).print(table)


def environment() -> Path:
    """Make the peers' environment once; CPU builds of torch's companions would not fit the pinned torch."""
    python, pins = ENVIRONMENT / "venv/bin/python", HERE / "requirements.txt"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT / "venv"], check=True)
        constraints = HERE.parents[1] / "constraints.txt"
        pip = [python, "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", "-c", constraints, "-r", pins], check=True)
        subprocess.run([*pip, "uninstall", "--quiet", "--yes", "torchvision", "torchaudio"], check=True)
    return python


@dataclass(frozen=True)
class Scores:
    """What a method said, and how long it took."""

    scores_QR: np.ndarray
    prepare: float
    queries: float

    @property
    def seconds(self) -> str:
        """For people."""
        return f"{self.prepare:.1f} + {self.queries:.2f}"


class Bench:
    """Model, data, truth and formulas; what the libraries are handed lies in a folder."""

    def __init__(self, protocol: Protocol, folder: Path) -> None:
        data = digits(protocol)
        reported = slice(0, protocol.queries)
        outputs = retrained_outputs(data, protocol, CACHE)
        self._subsets_SR, self._truth_SQ = subsets(protocol), outputs.mean(axis=0)[:, reported]
        self._full, self._folder = protocol == FULL, folder
        reference = task if self._full else smoke
        if not list((CACHE / f"digits-{protocol.train}-{protocol.epochs}").glob("seed-*.safetensors")):
            keep(full_models(data, protocol, 5 if self._full else 2), protocol)
        self._task = reference()
        weights = load_file(str(self._task.checkpoints[0].weights))
        self._dense = Dense(weights, data.x, data.y, data.query_x[reported], data.query_y[reported])
        self._queries = list(zip(data.query_x, data.query_y, strict=True))[reported]
        torch.save(weights, folder / "weights.pt")
        arrays = {
            "x": data.x,
            "y": data.y,
            "query_x": data.query_x[reported],
            "query_y": data.query_y[reported],
        }
        np.savez(folder / "data.npz", **{name: array.numpy() for name, array in arrays.items()})
        scale, parameters = self._dense.trak_scale(), sum(w.numel() for w in weights.values())
        self._trak_ridge = TRAK_DAMPING * scale / TRAK_SIZE
        settings = {
            # Both libraries divide gradients by the root of the number of parameters and project with +-1 or normal
            # entries; dattri divides by the root of the projection's size as well.
            "traker_ridge": TRAK_DAMPING * scale / parameters,
            "dattri_ridge": TRAK_DAMPING * scale / parameters / TRAK_SIZE,
            "ekfac_damping": EKFAC_DAMPING * self._dense.mean_eigenvalue(),
            "queries": {},
        }
        (folder / "options.json").write_text(json.dumps(settings))
        self._made: dict[str, Scores] = {}

    def compare(self, method: Method, python: Path | None) -> tuple[str, ...]:
        """One line of the table."""
        formula_QR = {
            "grad_dot": self._dense.grad_dot,
            "trak": lambda: self._dense.trak(self._trak_ridge),
            "ekfac": lambda: self._dense.ekfac(EKFAC_DAMPING),
        }[method.formula]()
        ours = self._made.setdefault(method.recipe, self._ours(method))
        peer = Scores(formula_QR, 0.0, 0.0) if python is None else self._peer(method, python)
        if peer is None:
            return "failed", self._lds(ours.scores_QR), self._lds(formula_QR), *("",) * 4, ours.seconds
        return (
            *(self._lds(scores) for scores in (peer.scores_QR, ours.scores_QR, formula_QR)),
            *(
                f"{agreement(one, other):.3f}"
                for one, other in (
                    (peer.scores_QR, formula_QR),
                    (ours.scores_QR, formula_QR),
                    (peer.scores_QR, ours.scores_QR),
                )
            ),
            peer.seconds,
            ours.seconds,
        )

    def _lds(self, scores_QR: np.ndarray) -> str:
        return f"{np.nanmean(lds(scores_QR, self._subsets_SR, self._truth_SQ)):.3f}"

    def _peer(self, method: Method, python: Path) -> Scores | None:
        command = [python, HERE / method.script, self._folder, method.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{method.name} failed:\n{done.stderr[-1500:]}", file=sys.stderr)
            return None
        seconds = json.loads((self._folder / f"{method.name}.json").read_text())
        return Scores(np.load(self._folder / f"{method.name}.npy"), seconds["prepare"], seconds["queries"])

    def _ours(self, method: Method) -> Scores:
        with tempfile.TemporaryDirectory() as folder:
            config = {
                "task": f"benchmarks.digits_task:{'task' if self._full else 'smoke'}",
                "recipe": {"name": method.recipe, **method.changes, "members": {"checkpoints": [0]}},
                "index": {"path": folder},
                "build": {"threads": 1},
            }
            start = time.perf_counter()
            path = build(BuildConfig.model_validate(config)).path
            built = time.perf_counter()
            with AttributionIndex.open(path) as index:
                states = {member.name: index.states(member.name) for member in index.members}
                features_QK = Featurizer.open(self._task, index.recipe, states).query(self._queries).numpy()
                scores_QR = Searcher(index).scores(features_QK)
            return Scores(scores_QR, built - start, time.perf_counter() - built)


def agreement(one_QR: np.ndarray, other_QR: np.ndarray) -> float:
    """Mean over queries of Pearson's correlation of two methods' scores."""
    pairs = zip(one_QR, other_QR, strict=True)
    return float(np.mean([np.corrcoef(one, other)[0, 1] for one, other in pairs]))


if __name__ == "__main__":
    main()
