"""A dropout mask is one sub-network: the same for all, gone afterwards, and differentiated exactly."""

import pytest
import torch
from torch import nn

from byline.errors import InvalidRecipe
from byline.gradients.masks import DropoutMask
from byline.gradients.probe import build_collector
from tests import models


def test_one_mask_is_the_same_for_every_example_and_call() -> None:
    case = models.mlp()
    mask = DropoutMask(case.model, seed=3, rate=0.5)
    with mask.active(), torch.no_grad():
        whole = case.model(case.batch[0])
        single = torch.cat([case.model(case.batch[0][n : n + 1]) for n in range(case.count)])
    torch.testing.assert_close(whole, single)
    with torch.no_grad():
        assert not torch.allclose(whole, case.model(case.batch[0]))
    assert all(not m._forward_hooks for m in case.model.modules())


def test_equals_a_network_with_the_features_cut_out() -> None:
    case = models.mlp()
    with DropoutMask(case.model, seed=1, rate=0.5).active(), torch.no_grad():
        kept = case.model[2](torch.ones(1, 7, dtype=torch.float64))[0]
        masked = case.model(case.batch[0])
    assert set(kept.tolist()) == {0.0, 2.0}
    by_hand = nn.Sequential(case.model[0], nn.ReLU(), models.Scale(kept), *case.model[3:])
    with torch.no_grad():
        torch.testing.assert_close(masked, by_hand(case.batch[0]))


def test_gradients_are_those_of_the_sub_network() -> None:
    case = models.mlp()
    collector = build_collector(case.model, case.loss, case.sample)
    mask = DropoutMask(case.model, seed=1, rate=0.5)
    found = collector.collect(case.loss, case.batch, case.count, mask.active())
    with mask.active(), torch.no_grad():
        kept = case.model[2](torch.ones(1, 7, dtype=torch.float64))[0]
    by_hand = nn.Sequential(case.model[0], nn.ReLU(), models.Scale(kept), *case.model[3:])
    expected = build_collector(by_hand, case.loss, case.sample).collect(case.loss, case.batch, case.count)
    torch.testing.assert_close(found.dense(), expected.dense())


def test_seeds_differ_and_channels_are_dropped_whole() -> None:
    model = nn.Sequential(nn.Conv2d(1, 32, 3), nn.Dropout(0.5)).eval()
    images = torch.rand(2, 1, 6, 6)
    outputs = []
    for seed in (0, 1):
        with DropoutMask(model, seed).active(), torch.no_grad():
            outputs.append(model(images))
    dropped = [(o == 0).all(dim=(0, 2, 3)) for o in outputs]
    assert not torch.equal(dropped[0], dropped[1])
    assert all(((o == 0).any(dim=(0, 2, 3)) == d).all() for o, d in zip(outputs, dropped, strict=True))


def test_a_model_without_dropout_is_refused() -> None:
    with pytest.raises(InvalidRecipe, match="mask_rate"):
        DropoutMask(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.0)), 0)
    with pytest.raises(InvalidRecipe, match="has none"):
        DropoutMask(nn.Linear(2, 2), 0, rate=0.1)


class Named(nn.Module):
    """Dropout under some name, on whatever comes."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.add_module(name, nn.Dropout(0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return next(self.children())(x)


@pytest.mark.parametrize(
    ("name", "shape", "axis"),
    [
        ("drop", (2, 16), 1),
        ("drop", (2, 5, 16), 2),
        ("drop", (2, 16, 7, 7), 1),
        ("drop", (2, 7, 7, 16), 3),  # channels last
        ("pattern_drop", (2, 16, 16), 2),  # no attention in it
        ("attn_drop", (2, 4, 6, 6), None),
        ("attention_dropout", (8, 6, 6), None),  # heads folded into the batch
        ("attn_out", (2, 5, 16), 2),  # features, not probabilities
    ],
)
def test_which_axis_is_dropped(name: str, shape: tuple[int, ...], axis: int | None) -> None:
    model = Named(name).eval()
    with DropoutMask(model, seed=0).active():
        output = model(torch.ones(shape))
    if axis is None:
        assert (output == 1).all()
        return
    others = [d for d in range(len(shape)) if d != axis]
    assert (output.amax(dim=others) == output.amin(dim=others)).all()
    assert set(output.unique().tolist()) == {0.0, 2.0}
