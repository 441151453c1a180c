"""The truths: models fine-tuned on random halves, without 5 % of the points, and without one owner."""

from pathlib import Path

import numpy as np

from benchmarks.tasks.finetuning.protocol import Protocol
from benchmarks.tasks.finetuning.runs import fine_tune, minus_losses
from benchmarks.tasks.finetuning.task import base_weights, folder_of, prepare, query_chunks, train_chunks
from benchmarks.tasks.truth import Retraining, keep_truth

KINDS = ("halves", "removals", "owners")
"""Names of the truths."""


def truth_of(protocol: Protocol, base: int, kind: str, *, reported: bool = True) -> Path:
    """Name the file of a truth."""
    return folder_of(protocol) / f"{kind}-{base}{'' if reported else '-tuning'}.npz"


def subsets_of(protocol: Protocol, kind: str) -> np.ndarray:
    """Draw the subsets of a kind: bool [S, R]."""
    chunks = train_chunks(protocol)
    rows = len(chunks)
    if kind == "owners":
        owners = np.array([chunks.describe(row).owner for row in range(rows)])
        return np.stack([owners != owner for owner in sorted(set(owners.tolist()))])
    share, count = (0.5, protocol.halves) if kind == "halves" else (0.05, protocol.removals)
    rng = np.random.default_rng(1)
    left_out = [rng.permutation(rows)[: max(1, round(share * rows))] for _ in range(count)]
    chosen = np.ones((count, rows), dtype=bool)
    for row, out in zip(chosen, left_out, strict=True):
        row[out] = False
    return chosen


def keep_truths(protocol: Protocol, base: int, kind: str) -> None:
    """Fine-tune on the subsets of a kind, and write the truths; finished models and files stay."""
    prepare(protocol)
    folder, chunks, queries = folder_of(protocol), train_chunks(protocol), query_chunks(protocol)
    start = folder, base_weights(protocol, base)
    subsets_SR = subsets_of(protocol, kind)

    def retrain(subsets: range, order: int) -> np.ndarray:
        weights = fine_tune(
            start, chunks, np.flatnonzero(subsets_SR[subsets.start]).tolist(), order, protocol
        )
        return minus_losses(folder, weights, queries)[None]

    retraining = Retraining(subsets_SR=subsets_SR, seeds=protocol.orders, together=1, train=retrain)
    reported, others = slice(0, protocol.queries), slice(protocol.queries, None)
    files = {
        truth_of(protocol, base, kind): reported,
        truth_of(protocol, base, kind, reported=False): others,
    }
    keep_truth(retraining, files)
