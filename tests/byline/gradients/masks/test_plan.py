"""What a mask drops is decided by what a tensor is: never by a name, nor by sizes that happen to be equal."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from byline.errors import InvalidRecipe, UnsupportedModel
from byline.gradients import DropoutMask, MaskPlan, plan_masks
from tests.byline.gradients.masked_models import MODELS, D, Masked, batch_of


def planned(case: Masked, model: nn.Module, lengths: tuple[int, int] = (5, 7)) -> MaskPlan:
    first, second = case.items(list(lengths))
    batches = [batch_of(items) for items in ([first], [first] * 2, [first] * 3, [second])]
    return plan_masks(model, [[partial(model, *batch) for batch in batches]])


def of(model: nn.Module, *shapes: tuple[int, ...]) -> MaskPlan:
    """A plan from inputs of these shapes."""
    return plan_masks(model.eval(), [[partial(model, torch.randn(shape)) for shape in shapes]])


@pytest.mark.parametrize("lengths", [(5, 7), (D, 5), (2, 4), (4, 2), (D, D)])
@pytest.mark.parametrize("name", MODELS)
def test_every_place_has_its_axis(name: str, lengths: tuple[int, int]) -> None:
    case = MODELS[name]
    plan = planned(case, case.made(), lengths)
    assert not plan.refused
    found = {m: {p.axis for p in places} for m, places in plan.places.items()}
    if case.axes == {"drop": -1}:  # called with two numbers of axes
        assert {(p.dimensions, p.axis, p.size) for p in plan.places["drop"]} == {
            (3, 2, D),
            (3, 2, 3 * D),
            (2, 1, D),
        }
    else:
        assert found == {m: {axis} for m, axis in case.axes.items()}


def test_the_examples_axis_is_found_where_it_is_second_and_not_where_nothing_shows_it() -> None:
    def batches(name: str) -> set[int | None]:
        plan = planned(MODELS[name], MODELS[name].made())
        return {p.batch for own in plan.places.values() for p in own if p.axis is not None}

    assert batches("transformer") == {0}
    assert batches("batch second") == batches("torch's encoder, batch second") == {1}
    assert batches("axes moved about") == {0, 1}
    assert batches("packed") == batches("shared positions") == {None}


class Called(nn.Module):
    """Calls a function with its dropout modules and layers."""

    def __init__(self, call: Callable[..., Tensor], dropout: nn.Module | None = None) -> None:
        super().__init__()
        self.drop, self.linear = dropout or nn.Dropout(0.5), nn.Linear(4, 4)
        self.conv = nn.Conv1d(4, 4, 1)
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self, x)


REFUSED: dict[str, tuple[Called, list[tuple[int, ...]], str]] = {
    "images without a layer": (
        Called(lambda m, x: m.drop(x)),
        [(1, 3, 6, 6), (2, 3, 6, 6), (3, 3, 6, 6)],
        "no layer before or after",
    ),
    "sequences of one length without a layer": (
        Called(lambda m, x: m.drop(x)),
        [(1, 3, 6), (2, 3, 6), (3, 3, 6)],
        "no layer before or after",
    ),
    "attention weights of no softmax": (
        Called(lambda m, x: m.drop((m.linear(x) @ m.linear(x).transpose(1, 2)).sigmoid())),
        [(1, 5, 4), (2, 5, 4), (3, 5, 4), (1, 7, 4)],
        "no layer before or after",
    ),
    "the same with heads": (
        Called(
            lambda m, x: m.drop(
                torch.einsum(
                    "nqhd,nkhd->nhqk", m.linear(x).unflatten(2, (2, 2)), m.linear(x).unflatten(2, (2, 2))
                )
            )
        ),
        [(1, 5, 4), (2, 5, 4), (3, 5, 4), (1, 7, 4)],
        "no layer before or after",
    ),
    "features that grow with the length": (
        Called(lambda m, x: m.drop(m.conv(x).flatten(1))),
        [(1, 4, 5), (2, 4, 5), (3, 4, 5), (1, 4, 7)],
        "varies",
    ),
    "channels without a batch": (
        Called(lambda m, x: m.drop(m.linear(x)), nn.Dropout1d(0.5)),
        [(1, 4), (2, 4), (3, 4)],
        "no batch of channels",
    ),
    "features on two axes": (
        Called(lambda m, x: m.drop(m.linear(x).unflatten(1, (2, 2)))),
        [(1, 4), (2, 4), (3, 4)],
        "no layer before or after",
    ),
    "heads of features that a layer then takes together": (
        Called(lambda m, x: m.linear(m.drop(m.linear(x).unflatten(2, (2, 2)).mT).mT.flatten(2))),
        [(1, 5, 4), (2, 5, 4), (3, 5, 4), (1, 7, 4)],
        "no layer before or after",
    ),
    "one module on channels and on features": (
        Called(lambda m, x: m.drop(m.linear(m.drop(m.conv(x)).transpose(1, 2)))),
        [(1, 4, 4), (2, 4, 4), (3, 4, 4)],
        "its own nn.Dropout",
    ),
    "one module on probabilities and on features": (
        Called(lambda m, x: m.drop((x @ x.transpose(1, 2)).softmax(-1)) @ m.drop(m.linear(x))),
        [(1, 4, 4), (2, 4, 4), (3, 4, 4)],
        "its own nn.Dropout",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_clear_is_refused_with_the_modules_name(name: str) -> None:
    model, shapes, words = REFUSED[name]
    plan = of(model, *shapes)
    with pytest.raises(UnsupportedModel, match=f"'drop'.*{words}"):
        DropoutMask(model, 0, plan=plan)


def test_a_module_that_drops_nothing_need_not_be_clear() -> None:
    unclear = Called(lambda m, x: m.drop(torch.tensor(x.tolist())[:, :, None, None]).sum() + m.linear(x))
    unclear.drop.p = 0.0
    both = nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.5), unclear)
    plan = of(both, (1, 6), (2, 6), (3, 6))
    assert list(plan.refused) == ["2.drop"]
    DropoutMask(both, 0, plan=plan)
    with pytest.raises(UnsupportedModel, match=r"'2\.drop'"):
        DropoutMask(both, 0, rate=0.5, plan=plan)


def test_two_axes_of_which_one_varies_need_no_layer() -> None:
    model = Called(lambda m, x: m.drop(x))
    assert [p.axis for p in of(model, (1, 5), (2, 5), (3, 5)).places["drop"]] == [1]
    assert [p.axis for p in of(model, (1, 5, 3), (2, 5, 3), (3, 5, 3), (1, 4, 3)).places["drop"]] == [2]
    assert [p.axis for p in of(model, (5, 1, 3), (5, 2, 3), (5, 3, 3), (4, 1, 3)).places["drop"]] == [2]


def test_rows_that_sum_to_one_are_features_where_a_layer_takes_them_as_such() -> None:
    shares = Called(lambda m, x: m.linear(m.drop(x.abs() / x.abs().sum(-1, keepdim=True))))
    assert [p.axis for p in of(shares, (1, 4), (2, 4), (3, 4)).places["drop"]] == [1]
    weights = Called(lambda m, x: m.drop(x.abs() / x.abs().sum(-1, keepdim=True)) @ x.mT)
    assert [p.axis for p in of(weights, (1, 4, 4), (2, 4, 4), (3, 4, 4)).places["drop"]] == [None]


def test_every_batch_is_held_to_the_plan() -> None:
    model = Called(lambda m, x: m.drop(m.linear(x) if x.shape[-1] == 4 else x)).eval()
    mask = DropoutMask(model, 0, plan=of(model, (1, 4), (2, 4), (3, 4)))
    with mask.active():
        model(torch.ones(5, 4))
        with pytest.raises(UnsupportedModel, match=r"'drop'.*axis 1 of 2, with 4 features.*\(5, 3\)"):
            model(torch.ones(5, 3))
        with pytest.raises(UnsupportedModel, match=r"'drop'.*\(5, 2, 4\)"):
            model(torch.ones(5, 2, 4))


def test_a_module_that_no_planned_pass_calls_is_refused_when_it_is_called() -> None:
    model = Called(lambda m, x: m.drop(m.linear(x)))
    model.other = nn.Dropout(0.5)
    model.eval()
    mask = DropoutMask(model, 0, plan=of(model, (1, 4), (2, 4), (3, 4)))
    with mask.active():
        model(torch.ones(2, 4))
        model.call = lambda m, x: m.other(m.linear(x))
        with pytest.raises(UnsupportedModel, match=r"'other' was called in none"):
            model(torch.ones(2, 4))


def test_a_loop_over_positions_is_one_place() -> None:
    cell = nn.GRUCell(4, 4)

    def loop(m: nn.Module, x: Tensor) -> Tensor:
        h = x.new_zeros(x.shape[0], 4)
        for t in range(x.shape[1]):
            h = m.drop(cell(x[:, t], h))
        return h

    plan = of(Called(loop), (1, 5, 4), (2, 5, 4), (3, 5, 4), (1, 9, 4))
    assert [(p.dimensions, p.axis, p.size) for p in plan.places["drop"]] == [(2, 1, 4)]


def test_objectives_that_call_other_heads_are_planned_together() -> None:
    trunk = nn.Linear(4, 4)
    model = Called(lambda m, x: m.drop(m.linear(x)))
    model.head = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))
    model.eval()
    x = [torch.randn(n, 4) for n in (1, 2, 3)]
    plan = plan_masks(
        model, [[partial(model, trunk(each)) for each in x], [partial(model.head, each) for each in x]]
    )
    assert {name: [p.size for p in own] for name, own in plan.places.items()} == {"drop": [4], "head.1": [3]}


def test_a_model_whose_masks_drop_nothing_is_refused() -> None:
    model = Called(lambda m, x: m.linear(m.drop((x @ x.mT).softmax(-1)) @ x)).eval()
    with pytest.raises(InvalidRecipe, match="attention probabilities"):
        DropoutMask(model, 0, plan=of(model, (1, 4, 4), (2, 4, 4), (3, 4, 4)))


def test_planning_leaves_the_model_as_it_was() -> None:
    case = MODELS["torch's encoder"]
    model = case.made()
    fast = torch.backends.mha.get_fastpath_enabled()
    planned(case, model)
    assert torch.backends.mha.get_fastpath_enabled() == fast
    assert all(not m._forward_hooks and not m.training for m in model.modules())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
