"""What is wrong with one training point is said with its row, wherever it is found out."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import default_collate

from byline.api.example import Example
from byline.errors import BylineError, InvalidTask, NonFiniteGradient, UnsupportedModel
from byline.members import Member
from byline.models.member import MemberModel
from byline.models.training_points import (
    EVALUATION,
    NamedItems,
    collate_items,
    describe_row,
    faulty_item_named,
    read_items,
)
from byline.recipes import recipe
from byline.task import Checkpoint, Outputs, Task

ROWS, BAD = 40, 21
INPUTS = torch.randn(ROWS, 4, generator=torch.Generator().manual_seed(0))


class Items:
    """A data set; row `BAD` is what a test makes of it."""

    def __init__(self, bad: Any = None) -> None:
        self.bad = bad

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        if row == BAD and isinstance(self.bad, Exception):
            raise self.bad
        if row == BAD and self.bad is not None:
            return self.bad
        return INPUTS[row], torch.tensor(row % 3)


def task(bad: Any = None, **changes: Any) -> Task:
    torch.manual_seed(0)
    fields: dict[str, Any] = {
        "name": "t",
        "model": lambda: nn.Linear(4, 3),
        "checkpoints": [Checkpoint(weights=nn.Linear(4, 3).state_dict())],
        "train_set": Items(bad),
        "describe": lambda row: Example(id=str(row)),
        "loss": lambda model, batch: F.cross_entropy(model(batch[0]), batch[1], reduction="none"),
        "outputs": Outputs(
            compute=lambda model, batch: model(batch[0]),
            loss=lambda logits, batch: F.cross_entropy(logits, batch[1], reduction="none"),
            relabel=lambda batch, labels: [batch[0], labels],
        ),
    }
    return Task(**(fields | changes))


@pytest.fixture(scope="module")
def model() -> MemberModel:
    return MemberModel.load(task(), recipe("grad_dot"), Member(0))


def rows_of(declared: Task) -> NamedItems:
    return read_items(declared.train_set, range(16, 24))


def named(declared: Task) -> str:
    return rf"^row {BAD} of the training set: "


@pytest.mark.parametrize(
    "error", [OSError("no image"), IndexError("far"), ValueError("a\nb"), InvalidTask("odd")]
)
def test_an_item_that_cannot_be_read(error: Exception) -> None:
    declared = task(error)
    with pytest.raises(InvalidTask, match=named(declared)) as caught:
        rows_of(declared)
    assert str(caught.value).isprintable()
    with pytest.raises(InvalidTask, match=rf"^row {BAD} of the evaluation set: reading it|: odd"):
        read_items(declared.train_set, [BAD], EVALUATION)


def test_items_of_a_part_keep_their_rows() -> None:
    part = read_items(task().train_set, [5, BAD])
    assert read_items(part, [1]).names == [f"row {BAD} of the training set"]
    assert part[1:].names == part.names[1:]
    assert torch.equal(part[0][0], INPUTS[5])


NAN = (torch.full((4,), torch.nan), torch.tensor(0))
OTHER_SHAPE = (torch.zeros(5), torch.tensor(0))
OTHER_CLASS = (torch.zeros(4), torch.tensor(7))


@pytest.mark.parametrize("bad", [NAN, OTHER_SHAPE, OTHER_CLASS], ids=["nan", "shape", "class"])
@pytest.mark.parametrize("how", ["gradients", "whole", "group", "values", "labels", "products"])
def test_a_batch_names_the_row_that_fails_alone(model: MemberModel, bad: Any, how: str) -> None:
    if how == "labels" and bad is OTHER_CLASS:
        pytest.skip("drawn labels take the place of the wrong one")
    items = rows_of(task(bad))
    run = {
        "gradients": lambda: model.gradients(items),
        "whole": lambda: model.whole_gradients(items),
        "group": lambda: model.group_gradient([(items, torch.ones(len(items)))]),
        "values": lambda: model.values(items),
        "labels": lambda: list(model.label_gradients(items, torch.arange(16, 24), "sampled")),
        "products": lambda: model.products(items, torch.ones(1, 15), "ggn"),
    }[how]
    with pytest.raises(BylineError, match=named(task())) as caught:
        run()
    assert isinstance(caught.value, NonFiniteGradient if bad is NAN else InvalidTask)
    assert "of this batch" not in str(caught.value)
    assert model.gradients(rows_of(task())).objective_N.shape == (8,)


def test_a_collate_that_fails_on_one_item() -> None:
    def collate(items: list[Any]) -> Any:
        if any(item[0][0] == INPUTS[BAD][0] for item in items):
            raise TypeError("cannot stack")
        return default_collate(items)

    declared = task(collate=collate)
    with pytest.raises(
        InvalidTask, match=named(declared) + r"the Task's code raised TypeError: cannot stack \(test_tr"
    ):
        collate_items(declared, rows_of(declared))


def test_what_fails_for_every_item_is_no_items_fault() -> None:
    items = rows_of(task())

    def always(_item: object) -> None:
        raise TypeError("always")

    with pytest.raises(TypeError, match=r"^always$"), faulty_item_named(items, always):
        always(None)
    with pytest.raises(UnsupportedModel, match=r"^module"), faulty_item_named(items, lambda item: None):
        raise UnsupportedModel("module")
    with pytest.raises(TypeError, match=r"^a query$"), faulty_item_named([1, 2], lambda item: None):
        raise TypeError("a query")


def test_descriptions_name_row_and_field() -> None:
    def describe(row: int) -> Example:
        return Example(id=str(row), owner="\udcff" if row == BAD else "ada")

    declared = task(describe=describe)
    assert describe_row(declared, 0).owner == "ada"
    with pytest.raises(InvalidTask, match=rf"Task\.describe\({BAD}\) .*Example\.owner: .*lone surrogate"):
        describe_row(declared, BAD)
    with pytest.raises(InvalidTask, match=r"describe\(0\) to return .*Example, got dict"):
        describe_row(replace(declared, describe=lambda row: {}), 0)  # type: ignore[arg-type, return-value]


def test_an_owner_has_one_spelling() -> None:
    names = ["Zoe\u0308 ", "Zo\u00eb", " ", "a\u202eb"]
    declared = task(describe=lambda row: Example(id=str(row), owner=names[row]))
    assert [describe_row(declared, row).owner for row in range(3)] == ["Zo\u00eb", "Zo\u00eb", None]
    with pytest.raises(InvalidTask, match=r"describe\(3\): .*U\+202E"):
        describe_row(declared, 3)


def test_the_check_of_a_model_names_the_row_as_well() -> None:
    def load(bad: Any) -> None:
        items = [bad if row == 20 else (INPUTS[row], torch.tensor(0)) for row in range(ROWS)]  # 20 is probed
        MemberModel.load(task(train_set=items), recipe("grad_dot"), Member(0))

    for bad in (OTHER_SHAPE, OTHER_CLASS):
        with pytest.raises(InvalidTask, match=r"^row 20 of the training set: the Task's code raised"):
            load(bad)
    for bad in (NAN, (torch.full((4,), 1e38), torch.tensor(0)), (INPUTS[20], torch.tensor(1))):
        load(bad)  # a gradient is checked on others; the pass over all rows names what is not finite
