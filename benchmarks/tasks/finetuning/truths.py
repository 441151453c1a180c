"""The truths: models fine-tuned on random halves, without 5 % of the points, and without one owner."""

from pathlib import Path

import numpy as np

from benchmarks.tasks.finetuning.protocol import Protocol
from benchmarks.tasks.finetuning.runs import fine_tune, minus_losses
from benchmarks.tasks.finetuning.task import base_weights, folder_of, prepare, query_chunks, train_chunks
from benchmarks.tasks.truth import Retraining, keep_truth, subsets_of, truth_files, truth_path


def truth_of(protocol: Protocol, base: int, kind: str, *, reported: bool = True) -> Path:
    """Name the file of a truth."""
    return truth_path(folder_of(protocol), kind, base, reported=reported)


def keep_truths(protocol: Protocol, base: int, kind: str) -> None:
    """Fine-tune on the subsets of a kind, and write the truths; finished models and files stay."""
    prepare(protocol)
    folder, chunks, queries = folder_of(protocol), train_chunks(protocol), query_chunks(protocol)
    start = folder, base_weights(protocol, base)
    owners = [chunks.describe(row).owner or "" for row in range(len(chunks))]
    subsets_SR = subsets_of(kind, owners, protocol.halves, protocol.removals)

    def retrain(subsets: range, order: int) -> np.ndarray:
        weights = fine_tune(
            start, chunks, np.flatnonzero(subsets_SR[subsets.start]).tolist(), order, protocol
        )
        return minus_losses(folder, weights, queries)[None]

    retraining = Retraining(subsets_SR=subsets_SR, seeds=protocol.orders, together=1, train=retrain)
    keep_truth(retraining, truth_files(folder, kind, base, protocol.queries))
