"""The truths: networks fine-tuned on random halves, without 5 % of the points, and without one owner."""

from pathlib import Path

import numpy as np
import torch

from benchmarks.tasks.image_finetuning.images import images_of
from benchmarks.tasks.image_finetuning.protocol import Protocol
from benchmarks.tasks.image_finetuning.runs import fine_tune
from benchmarks.tasks.image_finetuning.task import base_parameters, folder_of, prepare
from benchmarks.tasks.networks import query_losses
from benchmarks.tasks.truth import Retraining, keep_truth, subsets_of, truth_files, truth_path


def truth_of(protocol: Protocol, base: int, kind: str, *, reported: bool = True) -> Path:
    """Name the file of a truth."""
    return truth_path(folder_of(protocol), kind, base, reported=reported)


def keep_truths(protocol: Protocol, base: int, kind: str) -> None:
    """Fine-tune on the subsets of a kind, and write the truths; finished networks and files stay."""
    prepare(protocol)
    found, start = images_of(protocol), base_parameters(protocol, base)
    subsets_SR = subsets_of(kind, found.owners, protocol.halves, protocol.removals)
    rows_MS = torch.tensor(np.stack([np.flatnonzero(subset_R) for subset_R in subsets_SR]))

    def retrain(subsets: range, order: int) -> np.ndarray:
        parameters = fine_tune(start, found.train, rows_MS[list(subsets)], order, protocol)
        return -query_losses(parameters, found.train).numpy()

    retraining = Retraining(
        subsets_SR=subsets_SR, seeds=protocol.orders, together=protocol.together, train=retrain
    )
    keep_truth(retraining, truth_files(folder_of(protocol), kind, base, protocol.queries))
