"""Trains a byte-level tokenizer and several small GPT-2 models that differ by their seed alone."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim import AdamW, Muon, Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from byline.tasks import Document
from byline.tasks.chunks import ChunkOptions, Chunks
from byline.tasks.token_objectives import collate_causal, mean_token_loss
from byline.tasks.tokenizer import Tokens
from examples.code_lm.corpus import read_documents
from examples.code_lm.task import SHORTEST
from examples.tokenizer import train_tokenizer

END = "<|end|>"
Progress = Callable[[int, int], None]
"""`(seed, steps done)`."""


@dataclass(frozen=True)
class Training:
    """Sizes of the model, and how long it is trained."""

    vocabulary: int = 1_024
    context: int = 128
    layers: int = 2
    width: int = 96
    heads: int = 4
    dropout: float = 0.1
    seeds: tuple[int, ...] = (0, 1, 2, 3)
    """One checkpoint each: the standard error of a score is the spread between them."""
    steps: int = 800
    batch: int = 4
    learning_rate: float = 12e-3
    matrix_learning_rate: float = 0.01


def prepare(folder: Path, documents: Sequence[Document], training: Training) -> None:
    """Write the tokenizer and the model's configuration: all that a Task needs but the weights."""
    from transformers import GPT2Config

    train_tokenizer((document.text for document in documents), training.vocabulary).save_pretrained(folder)
    config: Any = GPT2Config(
        vocab_size=training.vocabulary,
        n_positions=training.context,
        n_embd=training.width,
        n_layer=training.layers,
        n_head=training.heads,
        resid_pdrop=training.dropout,
        embd_pdrop=training.dropout,
        attn_pdrop=training.dropout,
        bos_token_id=0,
        eos_token_id=0,
    )
    config.save_pretrained(folder)


def train_all(folder: Path, corpus: Path, training: Training, progress: Progress) -> list[Path]:
    """Train every seed, as many at once as there are cores, one thread each.

    Args:
        folder: Holds what `prepare` wrote; gets `seed-N.safetensors`.
        corpus: The documents to train on.
        training: Sizes.
        progress: Told about every few steps.

    Returns:
        The checkpoints, in the order of the seeds.
    """
    context = multiprocessing.get_context("spawn")
    steps: Queue[tuple[int, int]] = context.Queue()
    workers = min(len(training.seeds), len(os.sched_getaffinity(0)))
    with ProcessPoolExecutor(workers, context, _keep_queue, (steps,)) as pool:
        jobs = [pool.submit(_train_seed, folder, corpus, training, seed) for seed in training.seeds]
        while not all(job.done() for job in jobs):
            try:
                progress(*steps.get(timeout=0.2))
            except Empty:
                continue
        while not steps.empty():
            progress(*steps.get())
        return [job.result() for job in jobs]


def chunks_of(folder: Path, documents: Sequence[Document], context: int) -> Chunks:
    """Cut documents exactly as the Task does: the model is trained on the rows of the index."""
    return Chunks(documents, Tokens(folder), ChunkOptions(context, shortest=SHORTEST))


def train_model(chunks: Chunks, config: Any, training: Training, seed: int, progress: Progress) -> nn.Module:
    """Train one model.

    Args:
        chunks: The training set.
        config: Of the model.
        training: Steps, batch, learning rate.
        seed: Of the first weights, the dropout and the order of the rows.
        progress: Told about every few steps.

    Returns:
        The model.
    """
    from transformers import GPT2LMHeadModel

    torch.manual_seed(seed)
    config._attn_implementation = "eager"
    model: nn.Module = GPT2LMHeadModel(config).train()
    optimizers = _optimizers(model, training)
    schedules = [_warm_up_and_cool_down(optimizer, training.steps) for optimizer in optimizers]
    order = torch.empty(0, dtype=torch.int64)
    for step in range(training.steps):
        if len(order) < training.batch:
            order = torch.cat([order, torch.randperm(len(chunks))])
        rows, order = order[: training.batch], order[training.batch :]
        batch = collate_causal([chunks[int(row)] for row in rows], pad_token=0)
        loss = mean_token_loss(model, batch).mean()
        model.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
        if step % 10 == 9 or step + 1 == training.steps:
            progress(seed, step + 1)
    return model.eval()


def _optimizers(model: nn.Module, training: Training) -> list[Optimizer]:
    """Muon for the matrices inside the blocks, AdamW for all else."""
    named = list(model.named_parameters())
    matrices = [p for name, p in named if p.ndim == 2 and ".h." in name]
    others = [p for name, p in named if p.ndim != 2 or ".h." not in name]
    return [
        Muon(matrices, lr=training.matrix_learning_rate, weight_decay=0.0),
        AdamW(others, lr=training.learning_rate, betas=(0.9, 0.95), weight_decay=0.01),
    ]


def _warm_up_and_cool_down(optimizer: Optimizer, steps: int) -> OneCycleLR:
    highest = [group["lr"] for group in optimizer.param_groups]
    return OneCycleLR(optimizer, highest, total_steps=steps, pct_start=0.1, cycle_momentum=False)


@torch.no_grad()
def mean_loss(model: nn.Module, chunks: Chunks) -> float:
    """Average loss over a set, in nats a token."""
    losses = []
    for first in range(0, len(chunks), 32):
        rows = range(first, min(first + 32, len(chunks)))
        losses.append(mean_token_loss(model, collate_causal([chunks[r] for r in rows], pad_token=0)))
    return float(torch.cat(losses).mean())


_steps: "Queue[tuple[int, int]] | None" = None


def _keep_queue(steps: "Queue[tuple[int, int]]") -> None:
    """Give a worker its end of the queue, which cannot travel with a job."""
    global _steps  # noqa: PLW0603 - one a process, set when it starts
    _steps = steps


def _train_seed(folder: Path, corpus: Path, training: Training, seed: int) -> Path:
    from transformers import AutoConfig

    torch.set_num_threads(1)
    chunks = chunks_of(folder, read_documents(corpus), training.context)
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    model = train_model(chunks, config, training, seed, _report)
    path = folder / f"seed-{seed}.safetensors"
    # The head is the embedding: safetensors stores shared numbers once.
    weights = {n: t.contiguous() for n, t in model.state_dict().items() if n != "lm_head.weight"}
    save_file(weights, path)
    return path


def _report(seed: int, step: int) -> None:
    if _steps is not None:
        _steps.put((seed, step))
