"""Checks of one machine: each raises `Failed` with the words that say what to change.

Shapes: N rows, Q queries, K numbers of a row.
"""

import importlib.util
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import byline
from benchmarks.gpu.shape import Shape, drawn_task
from byline.task import Task
from byline_indexer.build.index import BuildOptions

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ("logra", "ekfac_adam")
AGREEMENT = 0.98
"""Least correlation of scores in bf16 with those in float32."""
TESTS_S = 150


class Failed(Exception):
    """A check that failed, in words that say what to change."""


@dataclass(frozen=True)
class Place:
    """The place of the work, and its amount."""

    device: str
    shape: Shape
    rows: int
    """Of the searched index."""


def machine(place: Place) -> str:
    """Find the accelerator and the libraries."""
    absent = [name for name in ("transformers", "faiss", "pytest") if importlib.util.find_spec(name) is None]
    if absent:
        raise Failed(f"install {', '.join(absent)}: python -m pip install -e '.[dev]'")
    if place.device == "cpu":
        return "the CPU stands in for a GPU"
    if not torch.cuda.is_available():
        raise Failed(
            f"torch {torch.__version__} sees no GPU: install its CUDA build (constraints.txt pins the release), and run "
            f"nvidia-smi to see the driver"
        )
    free, whole = torch.cuda.mem_get_info()
    if free < 6 * 2**30:
        raise Failed(
            f"{free / 2**30:.1f} of {whole / 2**30:.0f} GiB are free, 6 are needed: end other processes"
        )
    return f"{torch.cuda.get_device_name()}, {whole / 2**30:.0f} GiB, torch {torch.__version__}"


def tests(place: Place) -> str:
    """Run tests/gpu."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "tests/gpu"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TESTS_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"tests/gpu took more than {TESTS_S} s: run it alone, with --durations=5") from error
    last = (done.stdout.strip().splitlines() or ["no output"])[-1]
    if done.returncode:
        raise Failed(f"{last}: run `python -m pytest tests/gpu` to see the first failure")
    if place.device != "cpu" and "skipped" in last:
        raise Failed(f"{last}: tests were skipped although torch sees a GPU")
    return last


def builds(place: Place) -> str:
    """Build in float32 and in bf16, and compare the scores and the speed of the plain passes."""
    task = drawn_task(place.shape)
    plain = _tokens(task) / _timed(place, lambda: _plain_passes(task, place))
    words = []
    for recipe in RECIPES:
        scores, seconds = {}, {}
        for precision in ("float32", "bfloat16"):
            with tempfile.TemporaryDirectory() as folder:
                options = BuildOptions(device=place.device, precision=precision)
                began = time.monotonic()
                index = byline.build(task, recipe, folder, options, progress=False)
                seconds[precision] = time.monotonic() - began
                scores[precision] = index.item_scores(task.evaluation_set or [])
        close = _agreement(scores["float32"], scores["bfloat16"])
        if close < AGREEMENT:
            raise Failed(
                f"{recipe} in bf16 agrees with float32 by {close:.4f}, expected {AGREEMENT}: build with "
                f'precision = "float32" on this machine, and report the figure'
            )
        rate = _tokens(task) / seconds["bfloat16"] / plain
        words.append(
            f"{recipe} {seconds['bfloat16']:.1f} s ({rate:.2f} of plain passes' tokens/s), {close:.4f}"
        )
    return "; ".join(words)


def query(place: Place) -> str:
    """Ask an index that was built in bf16 on the device."""
    task = drawn_task(place.shape)
    with tempfile.TemporaryDirectory() as folder:
        options = BuildOptions(device=place.device, precision="bfloat16")
        index = byline.build(task, RECIPES[0], folder, options, progress=False)
        asked = [task.train_set[row] for row in range(4)]
        index.item_scores(asked)
        began = time.monotonic()
        scores_QN = index.item_scores(asked)
        seconds = (time.monotonic() - began) / len(asked)
    first = [int(np.argmax(scores_N)) for scores_N in scores_QN]
    found = sum(row == best for row, best in enumerate(first))
    if found < len(asked) - 1:
        raise Failed(
            f"{found} of {len(asked)} training texts find themselves first: run tests/gpu, report the figures"
        )
    return f"{1e3 * seconds:.0f} ms a query; {found} of {len(asked)} training texts find themselves first"


def search(place: Place) -> str:
    """Search with FAISS on the GPU, and compare with the CPU."""
    import faiss

    if place.device != "cpu" and not faiss.get_num_gpus():
        raise Failed("FAISS sees no GPU: python -m pip uninstall faiss-cpu, then pip install -e '.[gpu]'")
    generator = np.random.default_rng(0)
    rows_NK = generator.standard_normal((place.rows, 512), dtype=np.float32)
    asked_QK = generator.standard_normal((16, 512), dtype=np.float32)
    cpu = faiss.IndexFlatIP(512)
    cpu.add(rows_NK)
    expected = cpu.search(asked_QK, 10)[1]
    if place.device == "cpu":
        return "FAISS on the CPU alone"
    resources = faiss.StandardGpuResources()
    gpu = faiss.index_cpu_to_gpu(resources, 0, cpu)
    gpu.search(asked_QK, 10)
    began = time.monotonic()
    found = gpu.search(asked_QK, 10)[1]
    milliseconds = 1e3 * (time.monotonic() - began)
    same = float((found == expected).mean())
    if same < 0.99:
        raise Failed(
            f"{same:.3f} of the results are those of the CPU, expected .99: report the GPU and the FAISS release"
        )
    return f"{place.rows:,} x 512: {milliseconds:.1f} ms for 16 queries, {same:.3f} of the CPU's results"


def _plain_passes(task: Task, place: Place) -> None:
    """Differentiate the loss by all parameters in bf16, as a training step does."""
    model = task.model().to(place.device)
    for first in range(0, len(task.train_set), 32):
        rows = range(first, min(first + 32, len(task.train_set)))
        batch = {
            name: tensor.to(place.device)
            for name, tensor in task.collate([task.train_set[row] for row in rows]).items()
        }
        model.zero_grad(set_to_none=True)
        with torch.autocast(place.device, torch.bfloat16):
            loss = task.loss(model, batch).mean()
        loss.backward()


def _timed(place: Place, work: object) -> float:
    assert callable(work)
    work()
    _wait(place)
    began = time.monotonic()
    work()
    _wait(place)
    return time.monotonic() - began


def _wait(place: Place) -> None:
    if place.device != "cpu":
        torch.cuda.synchronize()


def _tokens(task: Task) -> int:
    return sum(len(task.train_set[row]["input_ids"]) for row in range(len(task.train_set)))


def _agreement(first_QN: np.ndarray, second_QN: np.ndarray) -> float:
    """Take the smallest correlation over the queries."""
    return min(float(np.corrcoef(a, b)[0, 1]) for a, b in zip(first_QN, second_QN, strict=True))
