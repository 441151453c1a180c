"""An ensemble's models: loaded and checked once, shared by members with the same weights."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from byline.api.example import Example
from byline.members import Member
from byline.models.ensemble import EnsembleModels
from byline.models.member import MemberModel
from byline.recipes import recipe
from byline.task import Checkpoint, Task

ITEMS = [(torch.tensor([float(i), 1.0, -0.5 * i]), torch.tensor(i % 2)) for i in range(6)]


class Counted:
    """Builds networks and counts them."""

    def __init__(self) -> None:
        self.built = 0

    def __call__(self) -> nn.Module:
        self.built += 1
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2))


def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


def task_of(model: Counted) -> Task:
    weights = [model().state_dict(), {n: 2 * t for n, t in model().state_dict().items()}]
    model.built = 0
    return Task(
        name="counted",
        model=model,
        checkpoints=[Checkpoint(weights=each) for each in weights],
        train_set=ITEMS,
        describe=lambda row: Example(id=str(row)),
        loss=loss,
    )


def test_members_of_the_same_weights_share_one_network_that_is_built_once() -> None:
    model = Counted()
    models = EnsembleModels(task_of(model), recipe("grad_dot", members={"masks": 2}))
    first, second, other = (models.load(member) for member in (Member(0, 0), Member(0, 1), Member(1, 0)))
    assert first.model is second.model
    assert first.model is not other.model
    assert models.load(Member(0, 1)) is second
    assert model.built == 2


def test_a_shared_network_gives_each_member_its_own_gradients() -> None:
    task = task_of(Counted())
    chosen = recipe("grad_dot", members={"masks": 2})
    models = EnsembleModels(task, chosen)
    members = [Member(0, 0), Member(0, 1)]
    loaded = [models.load(member).gradients(ITEMS).dense() for member in members]
    alone = [MemberModel.load(task, chosen, member).gradients(ITEMS).dense() for member in members]
    torch.testing.assert_close(loaded, alone)
    assert not torch.equal(*loaded)
