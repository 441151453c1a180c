"""Optimism of an answer's best scores, measured on models that took no part in the selection.

    python -m benchmarks.accuracy.optimism          # a minute on one core
    python -m benchmarks.accuracy.optimism --smoke  # seconds: fewer models, no figure means anything

Twenty models are trained on the digits of `benchmarks.accuracy.digits`. Again and again, some of them answer as an ensemble,
and all the others score the rows that it lists: their mean is the truth. Three scores are compared with it: those of the
answer, those less the optimism that `byline.attribution.optimism` finds in the ensemble alone, and those shrunk towards
their mean as if scores and noise were normal (James and Stein), the textbook's way.

Letters: Q queries, R training points, M models, U of them in an ensemble, k listed rows.
"""

import argparse
import tempfile
from functools import lru_cache

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.report import Targets
from benchmarks.tasks.digits import declare, digits, full_models
from benchmarks.tasks.networks import Protocol
from byline.attribution.optimism import candidate_count, optimism
from byline.features.queries import Featurizer
from byline.index.index import AttributionIndex
from byline.members import Member
from byline.task import Checkpoint, Task
from byline_indexer.build.build import build
from byline_indexer.config import BuildConfig

MODELS, DRAWS, QUERIES, K = 20, 20, 60, 10
SMOKE = Protocol(train=120, queries=10, tuning=10, epochs=3)
LEFT = 0.03
"""Largest optimism that may remain, over all recipes and ensembles."""


def main() -> int:
    """Print the table; 1 if too much optimism remains."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    table = Table("recipe", "checkpoints", "as they are", "less their optimism", "shrunk as if normal")
    table.title = f"best {K} scores, too high by"
    rng, targets = np.random.default_rng(0), Targets()
    for recipe in ("ekfac", "trak"):
        scores_QRM = scores(recipe, "smoke" if smoke else "task")
        for units in (2, 3, 4, 8):
            found = [ensemble(scores_QRM, rng.permutation(scores_QRM.shape[2]), units) for _ in range(DRAWS)]
            *shown, truth = np.mean(found, axis=0)
            cells = [float(each / truth - 1) for each in shown]
            table.add_row(recipe, str(units), *[f"{100 * each:+.1f} %" for each in cells])
            targets.at_most(f"{recipe}, {units}: left of the optimism", abs(cells[1]), LEFT)
    Console(width=120).print(table)
    return 0 if smoke else targets.exit_code()


def ensemble(scores_QRM: np.ndarray, order_M: np.ndarray, units: int) -> tuple[float, float, float, float]:
    """Average the best k scores over the queries: as they are, corrected in both ways, and by the other models."""
    members = tuple(Member(checkpoint) for checkpoint in range(units))
    means = []
    for scores_RM in scores_QRM:
        own_RU, others_R = scores_RM[:, order_M[:units]], scores_RM[:, order_M[units:]].mean(axis=1)
        score_R = own_RU.mean(axis=1)
        order_R = np.argsort(-score_R)
        luck = optimism("proponents", own_RU[order_R[: candidate_count(K)]], members, K) or 0.0
        best = score_R[order_R[:K]].mean()
        noise = (own_RU.var(axis=1, ddof=1) / units).mean()
        kept = max(0.0, 1 - noise / score_R.var())
        middle = score_R.mean()
        means.append((best, best * (1 - luck), middle + kept * (best - middle), others_R[order_R[:K]].mean()))
    return tuple(np.mean(means, axis=0))


def scores(recipe: str, task_name: str) -> np.ndarray:
    """Score every training point for every query by model, [Q, R, M]."""
    config = {
        "task": f"benchmarks.accuracy.optimism:{task_name}",
        "recipe": {"name": recipe, "projection": {"size": 512}},
    }
    with tempfile.TemporaryDirectory() as folder:
        config |= {"index": {"path": folder, "dtype": "fp32"}, "build": {"threads": 1}}
        with AttributionIndex.open(build(BuildConfig.model_validate(config)).path) as index:
            states = {member.name: index.states(member.name) for member in index.members}
            protocol = SMOKE if task_name == "smoke" else Protocol()
            asked = digits(protocol).queries[: min(QUERIES, protocol.queries)]
            features_QK = Featurizer.open(_task(protocol), index.recipe, states).query(asked)
            asked_QK = np.asarray(index.query_vectors(torch.as_tensor(features_QK)), dtype=np.float64)
            stored_RK = np.asarray(index.row_source.gather(np.arange(index.rows)), dtype=np.float64)
            parts = [asked_QK[:, own] @ stored_RK[:, own].T for own in index.slices]
    return np.stack(parts, axis=-1) * len(parts)


def task() -> Task:
    """Declare the Task."""
    return _task(Protocol())


def smoke() -> Task:
    """Declare the Task of the smallest protocol."""
    return _task(SMOKE)


@lru_cache
def _task(protocol: Protocol) -> Task:
    return declare(protocol, [Checkpoint(weights=state) for state in full_models(protocol, MODELS)])


if __name__ == "__main__":
    raise SystemExit(main())
