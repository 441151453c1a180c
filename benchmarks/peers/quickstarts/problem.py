"""What every quick start begins with: a trained network, its training set and queries."""

import torch
from torch import nn
from torch.utils.data import TensorDataset

from examples.digits.task import TRAINED_ON, digits, fit


def problem(queries: int) -> tuple[nn.Module, TensorDataset, TensorDataset]:
    """Train a network on digits.

    Args:
        queries: How many of the other digits are queries.

    Returns:
        The model in evaluation mode, its training set, and the queries with their labels.
    """
    pixels_ND, labels_N = digits()
    model = fit(pixels_ND[:TRAINED_ON], labels_N[:TRAINED_ON], seed=0)
    rows = slice(TRAINED_ON, TRAINED_ON + queries)
    torch.manual_seed(0)
    return (
        model,
        TensorDataset(pixels_ND[:TRAINED_ON], labels_N[:TRAINED_ON]),
        TensorDataset(pixels_ND[rows], labels_N[rows]),
    )
