"""Points as people have them: tensors, arrays and data sets."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from byline.errors import InvalidTask
from byline.tasks.points import as_items, require_same_form

X, Y = torch.arange(8.0).reshape(4, 2), torch.tensor([0, 1, 1, 0])
PAIRS = TensorDataset(X, Y)


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter(zip(X, Y, strict=True))

    def __len__(self) -> int:
        return 4


def test_arrays_take_the_models_precision_and_integers_stay() -> None:
    inputs = X.numpy().astype(np.float64)
    inputs.flags.writeable = False
    items = as_items((inputs[::-1], Y.numpy().astype(np.int32)), dtype=torch.float32)
    assert len(items) == 4
    first, label = items[0]
    assert torch.equal(first, X[3])
    assert first.dtype == torch.float32
    assert label.dtype == torch.int64
    assert as_items((inputs, Y), dtype=torch.float64)[0][0].dtype == torch.float64
    tokens, _ = as_items((Y.numpy()[:, None], X.numpy()), dtype=torch.float64)[1]
    assert tokens.tolist() == [1]
    assert not tokens.is_floating_point()


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (DataLoader(PAIRS), "without a loader"),
        (Stream(), "got a Stream"),
        ((X,), "expected queries to be two tensors, inputs and labels.*a tuple of 1"),
        ((X, Y, Y), "a tuple of 3.*TensorDataset"),
        ((X, Y[:3]), r"got \[4, 2\] and \[3\]"),
        ((np.array(["a", "b"], dtype=object), Y[:2]), "dtype object"),
        ({"x": X}, "got a dict"),
        (None, "got a NoneType"),
    ],
)
def test_what_is_no_data_set_is_refused(points: Any, message: str) -> None:
    with pytest.raises(InvalidTask, match=message):
        as_items(points, "queries")


def test_items_have_the_form_of_the_training_set() -> None:
    require_same_form([(X[0], Y[0])], PAIRS, "queries")
    require_same_form([], PAIRS, "queries")
    with pytest.raises(InvalidTask, match="a sequence of 2 parts, got a Tensor"):
        require_same_form(X, PAIRS, "queries")
