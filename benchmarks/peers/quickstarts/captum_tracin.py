"""captum, after its TracIn tutorial: inner products of gradients at a saved checkpoint."""

import tempfile
from pathlib import Path

import torch
from captum.influence import TracInCP
from torch import nn
from torch.utils.data import DataLoader


def scores(model, train_set, test_set):
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "checkpoint.pt")
        torch.save(model.state_dict(), path)
        tracin = TracInCP(
            model,
            train_set,
            checkpoints=[path],
            checkpoints_load_func=lambda net, file: (
                net.load_state_dict(torch.load(file, weights_only=True)) and 1.0
            ),
            loss_fn=nn.CrossEntropyLoss(reduction="sum"),
            batch_size=100,
            sample_wise_grads_per_batch=True,
        )
        return tracin.influence(next(iter(DataLoader(test_set, batch_size=len(test_set)))))
