"""A PCA of ten masks' features as the training set grows: errors, ranks and bytes against no PCA.

    python -m benchmarks.accuracy.pca_sizes            # 1,000, 5,000 and 60,000 images: about 15 minutes on 2 cores
    python -m benchmarks.accuracy.pca_sizes --smoke    # seconds: no figure means anything

Fashion-MNIST at 8 x 8 pixels under one network trained on all 60,000 images (64-128-64-10, dropout 0.1); `ekfac` with ten
masks x 1,024 coordinates, 50 test images as queries. Features are made once for each number of images, and rotated with
several sizes.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file, save_file
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional as F

from benchmarks.tasks import fashion
from benchmarks.tasks.networks import Data, Protocol, state_dicts, train_many
from byline.api.example import Example
from byline.features.featurizer import combine, member_parts
from byline.features.queries import Featurizer
from byline.members import member_shares
from byline.models.member import MemberModel
from byline.projection.pca import Pca, decode_directions
from byline.task import Checkpoint, Task
from byline.tasks import TrainedModel, TrainingData, vector_classification
from byline_indexer.build.contents import member_state
from byline_indexer.build.probe import make_plan
from byline_indexer.config import BuildConfig
from byline_indexer.progress import Silent
from byline_indexer.units.executor import InProcess
from byline_indexer.units.outputs import block_features
from byline_indexer.units.plan import BuildPlan
from byline_indexer.units.schedule import run_units
from byline_indexer.units.state import read_state
from byline_indexer.units.workspace import Workspace
from examples.digits.task import model

ROWS = (1_000, 5_000, 60_000)
SIZES = (128, 256, 512)
QUERIES = 50
WEIGHTS = fashion.KEPT / "small.safetensors"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Accuracy of one size of the PCA."""

    size: int
    scores: float
    """Relative error, root mean square."""
    ranks: float
    """Mean Spearman correlation with the scores without a PCA."""
    top: float
    """Share of the top ten that remains."""
    members: float
    """Relative error of the members' own scores."""
    errors: float
    """Correlation of the standard errors with those without a PCA."""
    directions: int
    """Bytes of the directions."""


def small(part: Data) -> Data:
    """Shrink images to 8 x 8 pixels, without the border of two."""

    def pooled(x: Tensor) -> Tensor:
        return F.avg_pool2d(x.reshape(-1, 1, 28, 28)[:, :, 2:26, 2:26], 3).flatten(1)

    return Data(pooled(part.x), part.y, pooled(part.query_x), part.query_y)


def task(rows: int) -> Task:
    """Declare a Task of the first images."""
    points = small(fashion.data(rows))
    examples = [Example(id=f"image-{row}", label=str(int(y))) for row, y in enumerate(points.y)]
    trained = TrainedModel(
        name="fashion-small",
        model=model,
        checkpoints=[Checkpoint(weights=load_file(WEIGHTS))],
        data=TrainingData.from_arrays(points.x, points.y, examples),
    )
    made = vector_classification(trained, classes=[str(kind) for kind in range(10)])
    queries = list(zip(points.query_x, points.query_y, strict=True))[:QUERIES]
    return replace(made, evaluation_set=queries)


def train(rows: int) -> None:
    """Train the network that is attributed, once."""
    if WEIGHTS.exists():
        return
    points = small(fashion.data(rows))
    protocol = Protocol(train=rows, epochs=5, learning_rate=0.05)
    WEIGHTS.parent.mkdir(parents=True, exist_ok=True)
    save_file(state_dicts(train_many(points, torch.arange(rows)[None], protocol, 5))[0], WEIGHTS)


def run(plan: BuildPlan, part: Task) -> Workspace:
    workspace = Workspace(plan.work)
    with InProcess(plan, part) as executor:
        run_units(plan, workspace, executor, Silent())
    return workspace


def measure(rows: int, sizes: Sequence[int], masks: int, width: int) -> list[Kept]:
    """Make features once, rotate them with every size, and compare."""
    part = task(rows)
    with tempfile.TemporaryDirectory() as folder:
        config = BuildConfig.model_validate(
            {
                "task": "benchmarks.accuracy.pca_sizes:unused",
                "recipe": {
                    "name": "ekfac",
                    "projection": {"size": width},
                    "curvature": {"sample": 4096},
                    "members": {"masks": masks},
                },
                "index": {"path": folder},
                "build": {"batch_rows": 128, "block_rows": 512},
            }
        )
        plan = make_plan(config, part, Path(folder) / "work")
        workspace = run(plan, part)
        queries = _query_features(plan, workspace, part)
        return [_kept(plan, part, queries, Pca(size=size)) for size in sizes if size <= rows]


def _query_features(plan: BuildPlan, workspace: Workspace, part: Task) -> list[Tensor]:
    """Compute the queries' features, one [Q, K] a member."""
    states = {m: read_state(plan, workspace, m.name) for m in plan.members}
    models: dict = {}
    for member in plan.members:
        models[member] = MemberModel.load(part, plan.recipe, member, None, next(iter(models.values()), None))
    features = Featurizer(plan.recipe, models, states).query(list(part.evaluation_set or []))
    widths = [block_features(workspace, m.name, 0).shape[1] for m in plan.members]
    return [stretch * len(widths) ** 0.5 for stretch in features.split(widths, dim=1)]


def _kept(plan: BuildPlan, part: Task, queries: list[Tensor], pca: Pca) -> Kept:
    rotated_plan = replace(plan, recipe=plan.recipe.model_copy(update={"pca": pca}))
    for unit in (unit for stage in rotated_plan.rotation_stages() for unit in stage):
        Workspace(plan.work).discard(unit)  # of another size
    workspace = run(rotated_plan, part)
    directions = [decode_directions(member_state(rotated_plan, workspace, m.name)) for m in plan.members]
    known = [d for d in directions if d is not None]
    counted = member_shares(plan.members)
    parts_QMk = member_parts(queries, known, counted)
    members, exact, found = len(plan.members), [], []
    for block in range(plan.block_count):
        features = [block_features(workspace, m.name, block) for m in plan.members]
        exact.append(torch.stack([q @ f.T for q, f in zip(queries, features, strict=True)], dim=2))
        stored = member_parts(features, known, counted).sum(dim=1).half().float()
        found.append(torch.einsum("qmk,bk->qbm", parts_QMk, stored) * members)
        if block == 0:
            whole = combine(queries, counted) @ combine(features, counted).T
            torch.testing.assert_close(exact[0].mean(dim=2), whole, rtol=1e-3, atol=1e-4)
    wanted_QRM, got_QRM = torch.cat(exact, dim=1).numpy(), torch.cat(found, dim=1).numpy()
    scores, kept = wanted_QRM.mean(axis=2), got_QRM.mean(axis=2)
    errors = np.corrcoef(wanted_QRM.std(axis=2).ravel(), got_QRM.std(axis=2).ravel())[0, 1]
    tops = [set(np.argsort(-s)[:10]) & set(np.argsort(-k)[:10]) for s, k in zip(scores, kept, strict=True)]
    ranks = [np.corrcoef(rankdata(s), rankdata(k))[0, 1] for s, k in zip(scores, kept, strict=True)]
    return Kept(
        size=pca.size,
        scores=float(np.linalg.norm(kept - scores) / np.linalg.norm(scores)),
        ranks=float(np.mean(ranks)),
        top=float(np.mean([len(top) / 10 for top in tops])),
        members=float(np.linalg.norm(got_QRM - wanted_QRM) / np.linalg.norm(wanted_QRM)),
        errors=float(errors),
        directions=sum(d.numel() for d in known),
    )


def main() -> int:
    """Measure every number of images and print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny run, to see that it works")
    parser.add_argument("--rows", type=int, action="append", help="number of images; repeatable")
    options = parser.parse_args()
    torch.set_num_threads(1)
    train(fashion.LARGEST)
    rows_of, sizes, masks, width = (
        ((200,), (16,), 2, 64) if options.smoke else (options.rows or ROWS, SIZES, 10, 1024)
    )
    table = Table(title=f"{masks} masks x {width:,} numbers, PCA against none")
    for column in ("images", "size", "scores", "ranks", "top 10", "members", "errors", "MB", "MB without"):
        table.add_column(column, justify="right")
    for rows in rows_of:
        for each in measure(rows, sizes, masks, width):
            stored, without = rows * each.size * 4 + each.directions, rows * masks * width * 4
            cells = (each.scores, each.ranks, each.top, each.members, each.errors)
            table.add_row(
                f"{rows:,}",
                str(each.size),
                *(f"{cell:.4f}" for cell in cells),
                f"{stored / 1e6:.1f}",
                f"{without / 1e6:.1f}",
            )
            print(rows, each, flush=True)
    Console(width=120).print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
