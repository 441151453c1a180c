"""Scores of images taken apart by patch: sums are the scores, places are where they lie, and lonely layers are the rest."""

import pytest
import torch
from torch import Tensor, nn

from byline.features.featurizer import Side
from byline.features.patch_scores import on_grid, query_patches, training_patches
from byline.features.queries import Featurizer
from byline.recipes import recipe
from byline.task import Checkpoint, Patches, Task
from byline.tasks import TrainedModel, TrainingData, image_classification
from tests.byline.features.conftest import fitted

GRID = Patches(height=8, width=8, rows=4, columns=4)


class Small(nn.Module):
    """Two convolutions, pooled, and a head; smooth, so that no gradient stands on an edge."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 2, stride=2)
        self.head = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        hidden = torch.tanh(self.second(torch.tanh(self.first(images))))
        return self.head(hidden.mean(dim=(2, 3)))


@pytest.fixture(scope="module")
def task() -> Task:
    torch.manual_seed(0)
    images, labels = torch.randn(30, 1, 8, 8), torch.arange(30) % 3
    trained = TrainedModel(
        name="images",
        model=Small,
        checkpoints=[Checkpoint(weights=Small().state_dict()), Checkpoint(weights=Small().state_dict())],
        data=TrainingData.from_arrays(images, labels),
    )
    return image_classification(trained, classes=["a", "b", "c"])


@pytest.fixture(scope="module", params=["grad_dot", "grad_cos", "ekfac"])
def featurizer(request: pytest.FixtureRequest, task: Task) -> Featurizer:
    chosen = recipe(request.param, projection={"size": 64})
    return Featurizer.open(task, chosen, fitted(task, chosen))


def test_patches_and_rest_add_up_to_the_scores(featurizer: Featurizer, task: Task) -> None:
    assert task.patches == Patches(height=8, width=8, rows=8, columns=8)
    item = task.train_set[3]
    rows_VK = torch.randn(2, featurizer.width, generator=torch.Generator().manual_seed(0))
    found = query_patches(featurizer, item, "margin", rows_VK, GRID)
    assert found.shape == (2, 17)
    expected = rows_VK.double() @ featurizer.query([item], "margin")[0].double()
    torch.testing.assert_close(found.sum(dim=1), expected, rtol=1e-4, atol=1e-5)
    (one,) = training_patches(featurizer, [item], rows_VK[0], GRID)
    score = float(featurizer.train([item])[0].double() @ rows_VK[0].double())
    assert float(one.sum()) == pytest.approx(score, rel=1e-4, abs=1e-5)
    assert float(one[:-1].abs().sum()) > 0


def test_the_parts_are_those_of_each_place_in_float64(task: Task) -> None:
    """One convolution's part at each place, by hand from its input and its output's gradient."""
    chosen = recipe("grad_dot", projection={"kind": "identity"})
    featurizer = Featurizer.open(task, chosen, fitted(task, chosen))
    item = task.train_set[5]
    weights_K = torch.randn(featurizer.width, generator=torch.Generator().manual_seed(1))
    fine = Patches(height=8, width=8, rows=8, columns=8)
    (found,) = training_patches(featurizer, [item], weights_K, fine)
    expected = torch.zeros(65, dtype=torch.float64)
    for (model, own), member_K in zip(featurizer.parts, featurizer.by_member(weights_K), strict=True):
        direction = own.pulled_back(member_K, Side.TRAIN).double()[0]
        network = Small().double()
        network.load_state_dict(model.model.state_dict())
        image = item[0][None].double()
        first = network.first(image).detach().requires_grad_()
        second = network.second(torch.tanh(first))
        logits = network.head(torch.tanh(second).mean(dim=(2, 3)))
        loss = nn.functional.cross_entropy(logits, torch.tensor([int(item[1])]))
        d_first, d_second = torch.autograd.grad(loss, [first, second])
        sizes = [b.rows * b.columns for b in model.blocks]
        parts = dict(zip((b.name for b in model.blocks), direction.split(sizes), strict=True))
        for name, given, grad, kernel, stride, pad in (
            ("first.weight", image, d_first, 3, 1, 1),
            ("second.weight", torch.tanh(first).detach(), d_second, 2, 2, 0),
        ):
            read = nn.functional.unfold(given, kernel, padding=pad, stride=stride)[0]
            block = next(b for b in model.blocks if b.name == name)
            matrix = parts[name].reshape(block.rows, block.columns)
            read = torch.cat([read, torch.ones_like(read[:1])]) if len(block.parameters) > 1 else read
            by_place = (grad[0].flatten(1) * (matrix @ read)).sum(dim=0)
            side = int(len(by_place) ** 0.5)
            times = 8 // side
            spread = by_place.reshape(side, side).repeat_interleave(times, 0).repeat_interleave(times, 1)
            expected[:64] += spread.flatten() / times**2
    torch.testing.assert_close(found[:64], expected[:64], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("count", [4, 5, 6, 16, 17, 18, 64, 65])
def test_places_keep_their_sum_behind_leading_tokens(count: int) -> None:
    parts = torch.arange(1.0, count + 1, dtype=torch.float64)
    found = on_grid(parts, GRID)
    assert float(found.sum()) == pytest.approx(float(parts.sum()))
    leading = count - int(count**0.5) ** 2
    assert float(found[-1]) == pytest.approx(float(parts[:leading].sum()))


def test_places_lie_where_they_are() -> None:
    corner = torch.zeros(4, dtype=torch.float64)
    corner[1] = 1.0  # upper right of 2 x 2
    grid = on_grid(corner, GRID)[:16].reshape(4, 4)
    assert grid[:2, 2:].sum() == pytest.approx(1.0)
    assert torch.equal(grid[:2, 2:], torch.full((2, 2), 0.25, dtype=torch.float64))
    wide = Patches(height=4, width=8, rows=1, columns=2)
    assert on_grid(torch.tensor([0.0, 0, 0, 1, 0, 0, 0, 1], dtype=torch.float64), wide).tolist() == [
        0.0,
        2.0,
        0.0,
    ]


def test_what_has_no_places_is_the_rest() -> None:
    assert on_grid(torch.tensor([3.0], dtype=torch.float64), GRID).tolist() == [0.0] * 16 + [3.0]
    several = torch.ones(16, dtype=torch.float64)
    assert on_grid(several, GRID, placed=False)[-1] == 16
    assert on_grid(torch.ones(7, dtype=torch.float64), GRID)[-1] == 7
