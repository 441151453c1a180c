"""What a Task yields on a few training points decides whether it is still the one of an index."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from byline.api.example import Example
from byline.digests import content_digest
from byline.errors import StaleIndex
from byline.members import Member
from byline.models.device import Compute
from byline.models.member import MemberModel
from byline.models.probe import probe, require_probe
from byline.recipes import recipe
from byline.task import Checkpoint, Task

ROWS = 10
SCALE = {"loss": 1.0}
"""What a Task's code may read from elsewhere."""


def network() -> torch.nn.Module:
    return torch.nn.Linear(4, 3)


def loss(model: torch.nn.Module, batch: list[torch.Tensor]) -> torch.Tensor:
    return SCALE["loss"] * cross_entropy(model(batch[0]), batch[1], reduction="none")


def logit(model: torch.nn.Module, batch: list[torch.Tensor]) -> torch.Tensor:
    return model(batch[0]).gather(1, batch[1][:, None])[:, 0]


@pytest.fixture
def task() -> Task:
    random = torch.Generator().manual_seed(0)
    items = [(torch.randn(4, generator=random), row % 3) for row in range(ROWS)]
    weights = {"weight": torch.randn(3, 4, generator=random), "bias": torch.randn(3, generator=random)}
    return Task(
        name="probed",
        model=network,
        checkpoints=[Checkpoint(weights=weights)],
        train_set=items,
        describe=lambda row: Example(id=str(row)),
        loss=loss,
        targets={"logit": logit},
    )


def member(task: Task, compute: Compute | None = None) -> MemberModel:
    return MemberModel.load(task, recipe("grad_dot"), Member(0), compute)


def test_a_record_holds_the_values_of_points_spread_over_the_training_set(task: Task) -> None:
    record = probe(member(task))
    assert sorted(record.items) == list(range(ROWS))
    weights = {name: tensor.double() for name, tensor in task.checkpoints[0].weights.items()}  # type: ignore[union-attr]
    x, label = task.train_set[record.row]
    z_C = weights["weight"] @ x.double() + weights["bias"]
    assert record.values["loss"] == pytest.approx(float(z_C.logsumexp(0) - z_C[label]), rel=1e-3)
    assert record.values["logit"] == pytest.approx(-float(z_C[label]), rel=1e-3)
    for row, digest in record.items.items():
        assert content_digest(task.train_set[row]).hex().startswith(digest)


@pytest.mark.parametrize(
    ("sizes", "chosen"), [([5, 5, 5], 0), ([5, 9, 3], 1), ([400, 30, 2, 16], 3), ([400, 30, 2], 1)]
)
def test_the_smallest_item_that_says_enough_is_evaluated(sizes: list[int], chosen: int, task: Task) -> None:
    items = [(torch.zeros(size), 0) for size in sizes]

    def mean(model: torch.nn.Module, batch: list[torch.Tensor]) -> torch.Tensor:
        return model(batch).sum(dim=1)

    other = replace(
        task,
        model=lambda: torch.nn.Linear(2, 3),
        checkpoints=[Checkpoint(weights={"weight": torch.ones(3, 2), "bias": torch.ones(3)})],
        train_set=items,
        loss=mean,
        targets={},
        collate=lambda items: torch.stack([x[:2] for x, _ in items]),
    )
    assert probe(member(other)).row == chosen


def test_the_same_task_is_accepted(task: Task) -> None:
    record = probe(member(task))
    require_probe(member(task), record, data=True)
    rough = probe(member(task, Compute(precision="bfloat16")))
    assert rough.precision == "bfloat16"
    require_probe(member(task), rough, data=True)


@pytest.mark.parametrize("scale", [1.05, 0.9, float("nan")])
def test_a_loss_that_reads_another_constant_is_refused(
    task: Task, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its code is the same: only its values tell."""
    record, same = probe(member(task)), member(task)
    monkeypatch.setitem(SCALE, "loss", scale)
    with pytest.raises(
        StaleIndex, match=r"the loss of training point \d was .* when this index was built, and is"
    ):
        require_probe(same, record, data=True)


@pytest.mark.parametrize("size", [1.0, 1e-2, 1e-4])
def test_a_scaled_loss_is_refused_where_the_loss_is_small(
    task: Task, size: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SCALE, "loss", size)
    record, same = probe(member(task)), member(task)
    require_probe(same, record, data=True)
    monkeypatch.setitem(SCALE, "loss", 5 * size)
    with pytest.raises(StaleIndex, match="the loss of training point"):
        require_probe(same, record, data=True)


def test_the_largest_loss_of_items_of_a_size_is_recorded(task: Task) -> None:
    """A learned item's loss is near zero, and so is any multiple of it."""
    loaded = member(task)
    losses = [float(loaded.values([task.train_set[row]])[0]) for row in range(ROWS)]
    assert probe(loaded).row == losses.index(max(losses))
    assert losses[0] < max(losses)


def test_another_or_a_missing_target_is_refused(task: Task) -> None:
    record = probe(member(task))
    other = replace(task, targets={"logit": lambda model, batch: 2 * logit(model, batch)})
    with pytest.raises(StaleIndex, match=r"negated target 'logit' of training point \d"):
        require_probe(member(other), record, data=True)
    with pytest.raises(StaleIndex, match="and is none"):
        require_probe(member(replace(task, targets={})), record, data=True)


def test_other_training_points_are_refused_where_they_must_be_the_same(task: Task) -> None:
    record = probe(member(task))
    moved = [*task.train_set[:5], (torch.zeros(4), 1), *task.train_set[6:]]  # type: ignore[index]
    for items in (moved, task.train_set[:3]):  # type: ignore[index]
        other = member(replace(task, train_set=items))
        with pytest.raises(StaleIndex, match=r"training point [35] is not the one"):
            require_probe(other, record, data=True)
        require_probe(other, record, data=False)


def test_an_objective_that_is_not_finite_at_the_build_is_left_out(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = member(task)
    monkeypatch.setitem(SCALE, "loss", float("inf"))
    assert set(probe(loaded).values) == {"logit"}
