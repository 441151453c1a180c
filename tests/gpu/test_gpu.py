"""What a GPU computes equals what a CPU computes: an index built on one is asked from the other."""

from pathlib import Path

import numpy as np
import pytest
import torch

from byline.features.queries import Featurizer
from byline.index.index import AttributionIndex
from byline.loading.task_file import load_task
from byline.models.device import Compute
from byline.models.member import MemberModel
from byline.randomness import random_bits, random_signs, stream_key
from byline.recipes import RECIPES, recipe
from byline_indexer.build.build import build
from byline_indexer.config import BuildConfig
from tests.end_to_end.test_recipes import CASES
from tests.indexer import recorded

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]
TINY = Path(__file__).parents[1] / "indexer" / "tiny_task.py"
FEW = {"arnoldi": {"projection": {"size": 4}, "curvature": {"steps": 24, "sample": 40}}}
"""Directions whose eigenvalues lie well apart: those near zero are rounding on either device."""


def test_random_numbers_are_the_same() -> None:
    key, counters = stream_key(1, "gpu"), torch.arange(100_000)
    assert torch.equal(random_bits(key, counters.cuda()).cpu(), random_bits(key, counters))
    signs = [random_signs(key, 3, 50, 100, torch.device(d)).cpu() for d in ("cpu", "cuda")]
    assert torch.equal(*signs)


@pytest.mark.parametrize("name", [name for name, row in RECIPES.items() if not row.recorded])
def test_an_index_built_on_a_gpu_equals_one_built_on_a_cpu(name: str, tmp_path: Path) -> None:
    scores = []
    for device in ("cpu", "cuda"):
        config = {
            "task": f"{TINY}:{'squared_task' if RECIPES[name].train_signal == 'square' else 'task'}",
            "recipe": {"name": name, **FEW.get(name, CASES[name])},
            "index": {"path": tmp_path / device, "dtype": "fp32"},
            "build": {"device": device},
        }
        index = AttributionIndex.open(build(BuildConfig.model_validate(config)).path)
        rows = torch.from_numpy(index.vectors.gather(np.arange(index.rows)))
        scores.append(rows @ rows.T)  # eigenvectors are unique up to sign only: compare inner products
    assert float((scores[0] - scores[1]).abs().max()) <= 1e-3 * float(scores[0].abs().max())


def test_a_run_recorded_and_built_on_a_gpu_equals_one_on_a_cpu(tmp_path: Path) -> None:
    sizes = {"size_in": 4, "size_out": 4}
    scores = []
    for device in ("cpu", "cuda"):
        runs = tmp_path / f"runs-{device}"
        config = {
            "task": recorded.record(runs, recipe("dvemb", projection=sizes), device=device),
            "recipe": {"name": "dvemb", "projection": sizes},
            "index": {"path": tmp_path / device, "dtype": "fp32"},
            "build": {"device": device},
        }
        index = AttributionIndex.open(build(BuildConfig.model_validate(config)).path)
        scores.append(torch.from_numpy(index.vectors.gather(np.arange(index.rows))))
    assert float((scores[0] - scores[1]).abs().max()) <= 1e-3 * float(scores[0].abs().max())


def test_mixed_precision_is_close() -> None:
    task = load_task(f"{TINY}:task").task
    chosen = recipe("grad_dot", projection={"kind": "identity"})
    member = chosen.members.members(2)[0]
    items = [task.train_set[row] for row in range(8)]
    exact = MemberModel.load(task, chosen, member).gradients(items).dense()
    compute = Compute(device=torch.device("cuda"), precision="bfloat16")
    rough = MemberModel.load(task, chosen, member, compute).gradients(items).dense().cpu()
    assert float((exact - rough).norm() / exact.norm()) < 0.03


def test_queries_on_a_gpu(tmp_path: Path) -> None:
    config = {"task": f"{TINY}:task", "recipe": {"name": "ekfac"}, "index": {"path": tmp_path}}
    index = AttributionIndex.open(build(BuildConfig.model_validate(config)).path)
    task = load_task(f"{TINY}:task").task
    states = {member.name: index.states(member.name) for member in index.members}
    items = [task.train_set[row] for row in range(5)]
    features = [
        Featurizer.open(task, index.recipe, states, Compute(device=torch.device(d))).query(items)
        for d in ("cpu", "cuda")
    ]
    torch.testing.assert_close(*features, rtol=1e-3, atol=1e-4)
