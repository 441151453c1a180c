"""Declared outputs of every ready-made Task: their loss is the Task's, and other labels go where labels were."""

import torch
from torch import nn

from byline.task import Checkpoint, Task
from byline.tasks import (
    TrainedModel,
    TrainingData,
    causal_language_model,
    vector_classification,
    vector_regression,
)
from byline.tasks.documents import IGNORED


def linear(outputs: int, labels: torch.Tensor) -> TrainedModel:
    torch.manual_seed(0)
    model = nn.Linear(4, outputs)
    return TrainedModel(
        name="linear",
        model=lambda: model,
        checkpoints=[Checkpoint(weights=model.state_dict())],
        data=TrainingData.from_arrays(torch.randn(6, 4), labels),
    )


def loss_of_outputs(task: Task, count: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    model = task.model().eval()
    batch = task.collate([task.train_set[row] for row in range(count)])
    assert task.outputs is not None
    return task.outputs.loss(task.outputs.compute(model, batch), batch), task.loss(model, batch)


def test_losses_of_outputs_are_the_tasks(local, documents):
    tasks = [
        vector_classification(linear(3, torch.tensor([0, 1, 2, 0, 1, 2])), classes=["a", "b", "c"]),
        vector_regression(linear(1, torch.randn(6))),
        causal_language_model("tiny", local, documents),
    ]
    for task in tasks:
        torch.testing.assert_close(*loss_of_outputs(task, min(4, len(task.train_set))))


def test_a_regression_with_predicted_noise_declares_none():
    assert vector_regression(linear(2, torch.randn(6)), noise="predicted").outputs is None


def test_other_labels_change_the_loss_and_not_the_inputs():
    task = vector_classification(linear(3, torch.tensor([0, 1, 2, 0, 1, 2])), classes=["a", "b", "c"])
    batch = task.collate([task.train_set[row] for row in range(3)])
    other = task.outputs.relabel(batch, torch.tensor([2, 2, 2]))
    assert other[1].tolist() == [2, 2, 2]
    assert torch.equal(other[0], batch[0])
    assert batch[1].tolist() == [0, 1, 2], "the batch itself stays"


def test_positions_without_a_loss_keep_none(local, documents):
    task = causal_language_model("tiny", local, documents)
    items = sorted(
        (task.train_set[row] for row in range(len(task.train_set))), key=lambda i: len(i["labels"])
    )
    batch = task.collate([items[0], items[-1]])
    assert (batch["labels"] == IGNORED).any(), "the test needs padding"
    labels_NT = torch.full_like(batch["labels"][:, 1:], 7)
    other = task.outputs.relabel(batch, labels_NT)
    assert torch.equal(other["labels"] == IGNORED, batch["labels"] == IGNORED)
    assert set(other["labels"][:, 1:].unique().tolist()) == {7, IGNORED}
    assert torch.equal(other["input_ids"], batch["input_ids"])


def test_texts_are_what_was_read(local, documents):
    task = causal_language_model("tiny", local, documents)
    assert task.text is not None
    assert documents[0].text.startswith(task.text(task.train_set[0])[:10])
