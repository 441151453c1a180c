"""Losses of torch, example by example: values of the criterion on each example alone."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from byline.errors import InvalidTask
from byline.models.training_points import describe_row
from byline.tasks import from_model
from tests.byline.tasks.test_model_task import CLASSES, NUMBERS, N, X, losses, model


class Positions(nn.Module):
    """Logits [N, 3, 2]: a class at each of two positions."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layer = nn.Linear(4, 6)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs).reshape(len(inputs), 3, 2)


@pytest.mark.parametrize(
    ("loss", "ignored"),
    [
        ("cross_entropy", -100),
        (F.cross_entropy, -100),
        (nn.CrossEntropyLoss(ignore_index=2), 2),
        (nn.CrossEntropyLoss(ignore_index=2, label_smoothing=0.1), 2),
        (nn.CrossEntropyLoss(ignore_index=2, reduction="sum"), 2),
    ],
)
def test_ignored_positions_are_left_out_of_the_mean(loss: Any, ignored: int) -> None:
    trained, labels = Positions(), torch.stack([CLASSES % 2, (CLASSES + 1) % 2], dim=1)
    labels[0, 1] = labels[3, 0] = ignored
    criterion = F.cross_entropy if loss == "cross_entropy" else loss
    expected = torch.stack([criterion(trained(X[n : n + 1]), labels[n : n + 1]) for n in range(N)])
    torch.testing.assert_close(losses(from_model(trained, (X, labels), loss=loss), trained), expected)


def test_an_example_without_a_valid_position_has_no_loss() -> None:
    labels = torch.stack([CLASSES, CLASSES], dim=1)
    labels[1] = -100
    found = losses(from_model(Positions(), (X, labels), loss="cross_entropy"), Positions())
    assert found[1] == 0
    assert (found[[0, 2, 3, 4, 5]] > 0).all()


def test_probabilities_as_labels() -> None:
    trained, soft = model(), torch.randn(N, 3, generator=torch.Generator().manual_seed(2)).softmax(1)
    expected = F.cross_entropy(trained.eval()(X), soft, reduction="none")
    for labels in (soft, soft.double()):
        task = from_model(trained, (X, labels), loss="cross_entropy")
        torch.testing.assert_close(losses(task, trained), expected)
        assert task.targets == {}
    with pytest.raises(InvalidTask, match="labels that are integers"):
        from_model(trained, (X, soft), loss="cross_entropy", classes=["a", "b", "c"])
    with pytest.raises(InvalidTask, match=r"got \[6\]: class positions are integers, labels\.long\(\)"):
        losses(from_model(trained, (X, CLASSES.float()), loss="cross_entropy"), trained)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int16])
@pytest.mark.parametrize(
    "loss", ["cross_entropy", nn.CrossEntropyLoss(label_smoothing=0.1), nn.MultiMarginLoss()]
)
def test_class_positions_of_any_integer_type(loss: Any, dtype: torch.dtype) -> None:
    trained = model()
    expected = losses(from_model(trained, (X, CLASSES), loss=loss), trained)
    narrow = CLASSES.to(dtype)
    for points in ((X, narrow), [(X[n], narrow[n]) for n in range(N)]):
        task = from_model(trained, points, loss=loss)
        torch.testing.assert_close(losses(task, trained), expected)
        for target in task.targets.values():
            assert target(trained, (X, narrow)).shape == (N,)


@pytest.mark.parametrize("wrong", [-100, 3])
@pytest.mark.parametrize("inputs", [X, torch.randint(0, 9, (N, 5))])
def test_labels_that_name_no_logit_are_refused(wrong: int, inputs: Tensor) -> None:
    trained = model() if inputs is X else nn.Sequential(nn.EmbeddingBag(9, 4), nn.Linear(4, 3))
    labels = CLASSES.clone()
    labels[4] = wrong
    low, high = int(labels.min()), int(labels.max())
    for points in ((inputs, labels), [(inputs[n], labels[n]) for n in range(N)]):
        with pytest.raises(
            InvalidTask, match=rf"from 0 to 2.* from {low} to {high}, the first outside in row 4"
        ):
            from_model(trained, points, loss="cross_entropy")


def test_a_label_that_a_data_set_reads_later_is_refused_with_its_row() -> None:
    class Pairs(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return N

        def __getitem__(self, row: int) -> Any:
            return X[row], -1 if row == 4 else int(CLASSES[row])

    task = from_model(model(), Pairs(), loss="cross_entropy")
    assert task.describe(0).label == "0"
    with pytest.raises(
        InvalidTask, match=r"Task\.describe\(4\) raised expected a label from 0 to 2, .* got -1"
    ):
        describe_row(task, 4)


def test_a_class_is_no_criterion() -> None:
    with pytest.raises(InvalidTask, match=r"got the class CrossEntropyLoss: .*loss=CrossEntropyLoss\(\)"):
        from_model(model(), (X, CLASSES), loss=nn.CrossEntropyLoss)


@pytest.mark.parametrize(
    "loss",
    [
        lambda output, label: F.cross_entropy(output, label, reduction="mean"),
        lambda output, label: F.cross_entropy(output, label, reduction="none"),
        lambda logits, y: -logits.log_softmax(1).gather(1, y[:, None])[:, 0],
    ],
)
def test_a_function_of_output_and_label_is_refused(loss: Any) -> None:
    with pytest.raises(InvalidTask, match=r"\(model, batch\) -> losses_N, got one of \(output, label\)"):
        from_model(model(), (X, CLASSES), loss=loss)


@pytest.mark.parametrize("loss", [nn.L1Loss(), F.smooth_l1_loss, nn.BCEWithLogitsLoss(), nn.BCELoss()])
def test_whole_numbers_are_compared_number_by_number(loss: Any) -> None:
    labels = CLASSES.clamp(max=1)
    trained = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    expected = torch.stack([loss(trained(X[n : n + 1])[:, 0], labels[n : n + 1].float()) for n in range(N)])
    for given in (labels, labels[:, None]):
        torch.testing.assert_close(losses(from_model(trained, (X, given), loss=loss), trained), expected)
    wide = nn.Linear(4, N)  # [N, N] and [N] would be broadcast
    with pytest.raises(InvalidTask, match=r"outputs, \[6, 6\] for a batch, got \[6\]"):
        losses(from_model(wide, (X, labels), loss=loss), wide)


def test_outputs_in_a_column_go_with_labels_in_a_column() -> None:
    steps = nn.Sequential(nn.Unflatten(1, (4, 1)), nn.Linear(1, 1))  # [N, 4, 1]
    with pytest.raises(InvalidTask, match=r"\[6, 4, 1\] for a batch, got \[6, 4\]: .*labels\[\.\.\., None\]"):
        losses(from_model(steps, (X, X), loss=nn.L1Loss()), steps)


@pytest.mark.parametrize("loss", ["cross_entropy", nn.CrossEntropyLoss(label_smoothing=0.1)])
@pytest.mark.parametrize("inputs", [X, X.reshape(N, 2, 2), torch.randint(0, 9, (N, 5))])
def test_a_classifier_has_the_targets_margin_and_logit(loss: Any, inputs: Tensor) -> None:
    first = nn.EmbeddingBag(9, 4) if not inputs.is_floating_point() else nn.Flatten()
    trained = nn.Sequential(first, nn.Linear(4, 3))
    task = from_model(trained, (inputs, CLASSES), loss=loss)
    assert sorted(task.targets) == ["logit", "margin"]
    p_N = trained(inputs).softmax(1)[range(N), CLASSES]
    torch.testing.assert_close(task.targets["margin"](trained, (inputs, CLASSES)), (p_N / (1 - p_N)).log())


def test_a_function_that_fails_for_another_reason_is_kept() -> None:
    def loss(trained: nn.Module, batch: Any) -> Tensor:
        raise RuntimeError("not now")

    assert from_model(model(), (X, NUMBERS), loss=loss).loss is loss
