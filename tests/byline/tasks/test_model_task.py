"""A Task of a model in memory: its losses are torch's own, item by item."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset, default_collate

from byline.api.example import Example
from byline.errors import InvalidTask
from byline.tasks import from_model
from byline.tasks.points import as_items

N = 6
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(N, 4, generator=GENERATOR)
CLASSES = torch.tensor([0, 1, 2, 0, 1, 2])
NUMBERS = torch.randn(N, generator=GENERATOR)


def model(width: int = 3) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Dropout(0.5), nn.Linear(5, width))


def losses(task: Any, trained: nn.Module) -> Tensor:
    batch = default_collate([task.train_set[row] for row in range(len(task.train_set))])
    return task.loss(trained.eval(), batch)


@pytest.mark.parametrize(
    "loss", ["cross_entropy", F.cross_entropy, nn.CrossEntropyLoss(), nn.CrossEntropyLoss(reduction="sum")]
)
def test_cross_entropy_in_every_form(loss: Any) -> None:
    trained = model()
    task = from_model(trained, (X, CLASSES), loss=loss)
    expected = F.cross_entropy(trained.eval()(X), CLASSES, reduction="none")
    torch.testing.assert_close(losses(task, trained), expected)
    assert task.outputs is not None
    assert task.outputs.kind == "categorical"


@pytest.mark.parametrize("loss", ["mse", F.mse_loss, nn.MSELoss()])
def test_squared_error_in_every_form(loss: Any) -> None:
    trained = model(1)
    task = from_model(trained, TensorDataset(X, NUMBERS), loss=loss)
    expected = (trained.eval()(X).squeeze(1) - NUMBERS) ** 2
    torch.testing.assert_close(losses(task, trained), expected)
    assert task.outputs is not None
    assert task.outputs.kind == "gaussian"


def test_vectors_and_images_can_be_asked_as_json() -> None:
    trained = model()
    task = from_model(trained, (X, CLASSES), loss="cross_entropy", classes=["a", "b", "c"])
    assert task.query is not None
    parsed = task.query.parse(task.query.payload.model_validate({"features": X[1].tolist(), "label": "b"}))
    assert torch.equal(parsed.item[0], X[1])
    assert parsed.item[1] == 1
    assert task.describe(1).label == "b"
    flat = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    images = from_model(flat, (torch.randn(N, 3, 2, 2), CLASSES), loss="cross_entropy")
    assert images.query is not None
    assert "image" in images.query.payload.model_fields
    assert images.describe(2).label == "2"
    regression = from_model(model(1), (X, NUMBERS), loss="mse")
    assert regression.query is not None
    assert list(regression.targets) == ["prediction"]


def test_classes_go_with_logits() -> None:
    with pytest.raises(InvalidTask, match="classes only with"):
        from_model(model(1), (X, NUMBERS), loss="mse", classes=["a", "b"])
    sequences = torch.randint(0, 9, (N, 5))
    embedded = nn.Sequential(nn.EmbeddingBag(9, 4), nn.Linear(4, 3))
    task = from_model(embedded, (sequences, CLASSES), loss="cross_entropy")
    assert task.query is None
    assert task.outputs is not None


@pytest.mark.parametrize("loss", [nn.SmoothL1Loss(beta=0.3), nn.MSELoss()])
def test_other_criteria_are_averaged_over_all_but_the_examples(loss: nn.Module) -> None:
    trained = model(2)
    targets = torch.stack([NUMBERS, -NUMBERS], dim=1)
    task = from_model(trained, (X, targets), loss=loss)
    expected = torch.stack([loss(trained.eval()(X[n]), targets[n]) for n in range(N)])
    torch.testing.assert_close(losses(task, trained), expected)
    assert task.outputs is None


def test_options_of_a_criterion_are_kept() -> None:
    trained = model()
    criterion = nn.CrossEntropyLoss(label_smoothing=0.2, weight=torch.tensor([1.0, 2.0, 3.0]))
    task = from_model(trained, (X, CLASSES), loss=criterion)
    unreduced = nn.CrossEntropyLoss(label_smoothing=0.2, weight=criterion.weight, reduction="none")
    torch.testing.assert_close(losses(task, trained), unreduced(trained.eval()(X), CLASSES))
    assert criterion.reduction == "mean"
    assert task.outputs is None


def test_a_function_of_torch_with_a_reduction() -> None:
    trained = model()
    task = from_model(trained, (X, CLASSES), loss=F.multi_margin_loss)
    expected = F.multi_margin_loss(trained.eval()(X), CLASSES, reduction="none")
    torch.testing.assert_close(losses(task, trained), expected)


def test_a_function_of_model_and_batch_and_items_of_any_kind() -> None:
    items = [{"x": X[n], "y": CLASSES[n]} for n in range(N)]

    def loss(trained: nn.Module, batch: Any) -> Tensor:
        return F.cross_entropy(trained(batch["x"]), batch["y"], reduction="none")

    trained = model()
    task = from_model(trained, items, loss=loss)
    expected = F.cross_entropy(trained.eval()(X), CLASSES, reduction="none")
    torch.testing.assert_close(losses(task, trained), expected)


def test_later_training_changes_nothing() -> None:
    trained = model()
    task = from_model(trained, (X, CLASSES), loss="cross_entropy")
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(1)
    kept = task.checkpoints[0].weights
    assert isinstance(kept, dict)
    assert all(torch.equal(kept[name], tensor) for name, tensor in before.items())
    assert task.model() is not task.model()


def test_metadata() -> None:
    examples = [Example(id=f"p{n}", owner="Ada") for n in range(N)]
    named = from_model(model(), (X, CLASSES), loss="cross_entropy", examples=examples, name="iris")
    assert named.name == "iris"
    assert named.describe(2) == examples[2].model_copy(update={"label": "2"})
    unnamed = from_model(model(), (X, CLASSES), loss="cross_entropy")
    assert len({unnamed.describe(row).id for row in range(N)}) == N


@pytest.mark.parametrize("loss", ["hinge", 3, nn.Linear(2, 2), None])
def test_what_is_no_loss_is_refused(loss: Any) -> None:
    with pytest.raises(InvalidTask, match="expected"):
        from_model(model(), (X, CLASSES), loss=loss)


def test_tensors_of_different_lengths_are_refused() -> None:
    with pytest.raises(InvalidTask, match=r"got \[6, 4\] and \[5\]"):
        from_model(model(), (X, CLASSES[:5]), loss="cross_entropy")
    with pytest.raises(InvalidTask, match=r"torch\.nn\.Module"):
        from_model(lambda x: x, (X, CLASSES), loss="cross_entropy")  # type: ignore[arg-type]


def test_a_data_set_stays_what_it_is() -> None:
    items = [(X[0], CLASSES[0])]
    assert as_items(items) is items
    assert len(as_items((X, CLASSES))) == N


def test_a_regression_takes_labels_in_a_column() -> None:
    trained = model(1)
    flat = from_model(trained, (X, NUMBERS), loss="mse")
    column = from_model(trained, (X, NUMBERS[:, None]), loss="mse")
    expected = (trained.eval()(X)[:, 0] - NUMBERS) ** 2
    torch.testing.assert_close(losses(column, trained), expected)
    torch.testing.assert_close(losses(column, trained), losses(flat, trained))
    assert column.outputs is not None
    batch = default_collate([column.train_set[row] for row in range(N)])
    means_N = column.outputs.compute(trained, batch)
    torch.testing.assert_close(column.outputs.loss(means_N, batch), expected)
    assert column.describe(1).label == flat.describe(1).label


@pytest.mark.parametrize(
    "loss", ["mse", nn.L1Loss(), F.smooth_l1_loss, nn.BCEWithLogitsLoss(), nn.MSELoss(reduction="sum")]
)
def test_one_number_an_example_is_compared_with_one_number(loss: Any) -> None:
    grids = X.reshape(N, 2, 2)
    columns = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))
    scalars = nn.Sequential(columns, nn.Flatten(0))
    numbers = NUMBERS.sigmoid()
    criterion = {"mse": F.mse_loss}.get(loss, loss) if isinstance(loss, str) else loss
    expected = torch.stack([criterion(scalars(grids[n : n + 1]), numbers[n : n + 1]) for n in range(N)])
    for trained in (columns, scalars):
        for labels in (numbers, numbers[:, None], numbers.double()):
            torch.testing.assert_close(
                losses(from_model(trained, (grids, labels), loss=loss), trained), expected
            )


@pytest.mark.parametrize("loss", ["mse", nn.L1Loss()])
def test_labels_that_would_be_broadcast_are_refused(loss: Any) -> None:
    numbers = torch.stack([NUMBERS, NUMBERS], dim=1)
    with pytest.raises(InvalidTask, match=r"got (\[2\]|\[6, 2\])"):
        losses(from_model(model(1), (X, numbers), loss=loss), model(1))
    with pytest.raises(InvalidTask, match=r"outputs, \[6, 2\] for a batch, got \[6, 1\]"):
        losses(from_model(model(2), (X, NUMBERS[:, None]), loss=loss), model(2))


def test_integers_are_no_class_positions_for_squared_error() -> None:
    with pytest.raises(InvalidTask, match=r"outputs, \[6, 3\] for a batch, got \[6\]"):
        losses(from_model(model(), (X, CLASSES), loss="mse"), model())
    torch.testing.assert_close(
        losses(from_model(model(1), (X, CLASSES[:, None]), loss="mse"), model(1)),
        (model(1).eval()(X)[:, 0] - CLASSES) ** 2,
    )


@pytest.mark.parametrize(
    "loss", [nn.MSELoss(reduction="sum"), nn.HuberLoss(reduction="sum"), nn.KLDivLoss(reduction="batchmean")]
)
def test_a_summed_criterion_is_the_criterion_of_one_example(loss: nn.Module) -> None:
    trained = model(2)
    targets = torch.stack([NUMBERS, -NUMBERS], dim=1).softmax(1)
    task = from_model(trained, (X, targets), loss=loss)
    expected = torch.stack([loss(trained.eval()(X[n : n + 1]), targets[n : n + 1]) for n in range(N)])
    torch.testing.assert_close(losses(task, trained), expected)


def test_a_summed_cross_entropy_adds_up_positions() -> None:
    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 6)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.layer(inputs).reshape(len(inputs), 3, 2)

    trained, labels = Positions(), torch.stack([CLASSES, CLASSES.flip(0)], dim=1)
    for reduction in ("sum", "mean"):
        criterion = nn.CrossEntropyLoss(reduction=reduction)
        task = from_model(trained, (X, labels), loss=criterion)
        expected = torch.stack([criterion(trained(X[n : n + 1]), labels[n : n + 1]) for n in range(N)])
        torch.testing.assert_close(losses(task, trained), expected)


@pytest.mark.parametrize("classes", [["a", "b"], ["a", "b", "c", "d"], [], "abc"])
def test_every_logit_has_a_name(classes: Any) -> None:
    with pytest.raises(InvalidTask, match=r"expected (3 classes, one for each logit|classes to be a list)"):
        from_model(model(), (X, CLASSES), loss="cross_entropy", classes=classes)


def holding_a_lock() -> nn.Module:
    model = nn.Linear(4, 3)
    model.lock = threading.Lock()
    return model


def holding_a_graph() -> nn.Module:
    model = nn.Linear(4, 3)
    model.last = model(torch.ones(1, 4))
    return model


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (holding_a_lock, "deepcopy.*lock"),
        (holding_a_graph, "deepcopy.*graph"),
        (lambda: nn.Linear(4, 3, device="meta"), "'meta'.*load the weights"),
    ],
)
def test_a_model_that_cannot_be_kept_is_refused(model: Callable[[], nn.Module], said: str) -> None:
    with pytest.raises(InvalidTask, match=said):
        from_model(model(), (torch.ones(2, 4), torch.tensor([0, 1])), loss="cross_entropy")
