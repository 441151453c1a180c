"""Builds, dry runs and `inspect` tell which parameters are attributed, frozen and unused, and how passes are made."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from byline.index.index import AttributionIndex
from byline.loading.task_file import load_task
from byline_indexer.build.build import build
from byline_indexer.build.estimate import estimate
from byline_indexer.cli.tables import estimate_table, index_table
from byline_indexer.config import BuildConfig
from tests.indexer.build.test_build import Recorder

TASK = """
import torch
from torch import nn
from torch.nn import functional as F
from byline.api.example import Example
from byline.task import Checkpoint, LayerSelection, Task

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.pooler, self.head = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.rare = nn.Linear(8, 3)
        self.body.requires_grad_(False)
    def forward(self, x, kind):
        h = self.body(x).tanh()
        out = F.linear(h, self.head.weight, self.head.bias)
        rows = (kind == 1).nonzero().flatten()
        return out.index_add(0, rows, self.rare(h[rows])) if len(rows) else out

torch.manual_seed(0)
X = torch.randn(64, 6)
# Row 33 alone takes the rare branch: none of the rows that are tried when the model is loaded.
ITEMS = [(X[i], torch.tensor(int(i == 33)), torch.tensor(i % 3)) for i in range(64)]
WEIGHTS = Net().state_dict()
LAYERS = LayerSelection()

def task():
    return Task(name="net", model=Net, checkpoints=[Checkpoint(weights=WEIGHTS)], train_set=ITEMS, layers=LAYERS,
        describe=lambda i: Example(id=f"p{i}"),
        loss=lambda m, b: F.cross_entropy(m(b[0], b[1]), b[2], reduction="none"))
"""


def config(folder: Path, source: str = TASK) -> BuildConfig:
    (folder / "net.py").write_text(source)
    return BuildConfig.model_validate(
        {
            "task": f"{folder / 'net.py'}:task",
            "recipe": {"name": "grad_dot", "projection": {"kind": "identity"}},
            "index": {"path": str(folder / "index"), "dtype": "fp32"},
            "build": {"block_rows": 32, "batch_rows": 8},
        }
    )


def printed(table: object) -> str:
    console = Console(width=400, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


def test_the_manifest_the_build_and_the_dry_run_tell_it(tmp_path: Path) -> None:
    chosen, recorder = config(tmp_path), Recorder()
    built = build(chosen, recorder)
    with AttributionIndex.open(built.path.parent) as index:
        report = index.manifest.parameters
        assert report.attributed == ("head.weight", "head.bias", "rare.weight", "rare.bias")
        assert report.unused == ("pooler.weight", "pooler.bias")
        assert report.frozen == ("body.weight", "body.bias")
        assert any("2 parameters are (body.weight, body.bias) frozen" in line for line in recorder.said)
        assert any("4 parameters are (pooler.weight" in line for line in recorder.said)
        told = (
            (index_table(index), "2: pooler.weight, pooler.bias"),
            (estimate_table(estimate(chosen)), "4: pooler."),
        )
        for table, unused in told:
            text = printed(table)
            assert "parameters frozen" in text
            assert "2: body.weight, body.bias" in text
            assert unused in text


@pytest.mark.parametrize("workers", [1, 2])
def test_a_batch_that_is_taken_apart_is_told_once_with_its_module_and_its_price(
    tmp_path: Path, workers: int
) -> None:
    """Row 33 takes a branch that no other row takes, so its batch is not cut as the batches that were probed."""
    chosen, recorder = config(tmp_path), Recorder()
    chosen = chosen.model_copy(update={"build": chosen.build.model_copy(update={"workers": workers})})
    built = build(chosen, recorder)
    said = [line for line in recorder.said if "one at a time" in line]
    assert len(said) == 1
    assert "rare" in said[0]
    assert "up to 8 times as long" in said[0]
    with AttributionIndex.open(built.path.parent) as index:
        assert index.manifest.parameters.unused == ("pooler.weight", "pooler.bias")


def test_what_receipts_say_of_parameters_survives_an_interruption(tmp_path: Path) -> None:
    chosen = config(tmp_path)

    class Stopping(Recorder):
        def progress(self, phase: str, done: int, total: int) -> None:
            if phase == "write vectors":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(chosen, Stopping())
    with AttributionIndex.open(build(chosen).path.parent) as index:
        assert index.manifest.parameters.unused == ("pooler.weight", "pooler.bias")


def test_a_branch_that_no_probed_row_takes_is_attributed(tmp_path: Path) -> None:
    """Row 33's gradient is autograd's, head and rare branch alike."""
    chosen = config(tmp_path)
    built = build(chosen)
    task = load_task(chosen.task).task
    model = task.model()
    model.load_state_dict(dict(task.checkpoints[0].weights))  # type: ignore[arg-type]
    with AttributionIndex.open(built.path.parent) as index:
        names = [name for block in index.manifest.blocks for name in block.parameters]
        vectors = np.stack([index.row_source.gather(np.array([row]))[0] for row in range(64)])
    parameters = dict(model.named_parameters())
    lengths = []
    for row in range(64):
        value = task.loss(model, task.collate([task.train_set[row]])).sum()
        grads = torch.autograd.grad(value, [parameters[name] for name in names], allow_unused=True)
        lengths.append(sum(float(g.double().square().sum()) for g in grads if g is not None))
    np.testing.assert_allclose(np.square(vectors.astype(np.float64)).sum(axis=1), lengths, rtol=1e-4)


def test_frozen_parameters_are_attributed_where_the_task_says_so(tmp_path: Path) -> None:
    chosen = config(tmp_path, TASK.replace("LayerSelection()", "LayerSelection(frozen=True)"))
    with AttributionIndex.open(build(chosen).path.parent) as index:
        assert index.manifest.parameters.frozen == ()
        assert {"body.weight", "body.bias"} <= set(index.manifest.parameters.attributed)


@pytest.mark.parametrize("rows", [1, 8])
def test_one_example_a_pass_is_told_with_its_reason(tmp_path: Path, rows: int) -> None:
    source = TASK.replace("self.body(x).tanh()", "self.body(x).tanh() @ (self.pooler.weight * 2)")
    source = source.replace("self.body.requires_grad_(False)", "pass")
    chosen = config(tmp_path, source)
    chosen = chosen.model_copy(update={"build": chosen.build.model_copy(update={"batch_rows": rows})})
    recorder = Recorder()
    built = build(chosen, recorder)
    with AttributionIndex.open(built.path.parent) as index:
        report = index.manifest.parameters
        assert report.passes == "example"
        assert report.reason is not None
        assert any("'pooler.weight' is used outside" in line for line in recorder.said)
