"""The small GPT-2 of `benchmarks.accuracy.sotu`, with its layers' weights alone, as bergson's own collection attributes it.

Embeddings, norms and the head are left out on both sides. Shapes: N training chunks, Q queries, P parameters.
"""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.peers.comparison import Problem
from benchmarks.peers.dense import fisher_by_layer
from benchmarks.peers.methods import SIDE, Method, Ours
from benchmarks.tasks.sotu.model import FULL
from benchmarks.tasks.sotu.task import folder_of, make_task, truth_of
from benchmarks.tasks.truth import Subject
from byline.loading.task_file import load_task
from byline.task import LayerSelection, Task
from byline.tasks.token_objectives import collate_causal, mean_token_loss

LAYERS = ("transformer.h.*.attn.*", "transformer.h.*.mlp.*")


def task() -> Task:
    """Declare the Task of the benchmark, with the layers' weights alone."""
    return replace(make_task(FULL), layers=LayerSelection(include=LAYERS))


def speeches_problem(folder: Path) -> tuple[Problem, list[Method]]:
    """Write bergson's input, and list its methods; `benchmarks.accuracy.sotu` must have been run."""
    subject = Subject(f"{__name__}:task", truth_of(FULL), {"threads": 1})
    declared = load_task(subject.task).task
    items = declared.evaluation_set or ()
    queries = [items[place] for place in range(len(items))]
    train = [declared.train_set[row] for row in range(len(declared.train_set))]
    shutil.copy(folder_of(FULL) / "config.json", folder / "config.json")
    shutil.copy(str(declared.checkpoints[0].weights), folder / "weights.safetensors")
    np.savez(folder / "tokens.npz", train=_tokens(train), queries=_tokens(queries))
    return Problem(folder, subject, declared), _methods(declared, train, queries)


def _methods(declared: Task, train: Sequence[Any], queries: Sequence[Any]) -> list[Method]:
    layers = cache(lambda: list(zip(_gradients(declared, train), _gradients(declared, queries), strict=True)))
    dot = cache(lambda: sum((q @ g.T for g, q in layers()), torch.zeros(())).numpy())
    fisher = cache(lambda: fisher_by_layer(layers(), 1.0, SIDE * SIDE))
    script = "bergson_language_model"
    return [
        Method(
            "bergson grad_dot",
            script,
            {"size": None, "damping": None},
            dot,
            Ours("grad_dot", whole={"projection": {"kind": "identity"}}),
        ),
        Method(
            "bergson autocorrelation 32 x 32",
            script,
            {"size": SIDE, "damping": 1.0},
            fisher,
            Ours("logra", {"projection": {"size_in": SIDE, "size_out": SIDE}}),
        ),
    ]


def _gradients(declared: Task, items: Sequence[Any]) -> list[Tensor]:
    """Compute one [rows, P] a layer, weight and bias, in float64 by one backward pass an item."""
    model = declared.model().double().eval()
    weights = load_file(str(declared.checkpoints[0].weights))
    model.load_state_dict({name: w.double() for name, w in weights.items()}, strict=False)
    modules = [module for name, module in model.named_modules() if declared.layers.selects(name)]
    modules = [module for module in modules if list(module.parameters(recurse=False))]
    rows: list[list[Tensor]] = [[] for _ in modules]
    for item in items:
        model.zero_grad()
        mean_token_loss(model, collate_causal([item], pad_token=0)).sum().backward()
        for module, found in zip(modules, rows, strict=True):
            found.append(torch.cat([p.grad.flatten() for p in module.parameters(recurse=False)]))
    return [torch.stack(found) for found in rows]


def _tokens(items: Sequence[Any]) -> np.ndarray:
    return torch.stack([item["input_ids"] for item in items]).numpy()
