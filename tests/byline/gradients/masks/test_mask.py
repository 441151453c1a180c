"""A dropout mask is one sub-network: the same for all, gone afterwards, and differentiated exactly."""

from dataclasses import dataclass
from functools import partial

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from byline.api.example import Example
from byline.errors import InvalidRecipe, UnsupportedModel
from byline.gradients.checks import build_collector
from byline.gradients.masks.mask import DropoutMask, stack_masks
from byline.gradients.masks.plan import MaskPlan, plan_masks
from byline.members import Member
from byline.models.member import MemberModel
from byline.randomness import random_uniform, stream_key
from byline.recipes import recipe
from byline.task import Checkpoint, Task
from tests.byline.gradients.masked_models import MODELS, D, Masked, batch_of, written_out
from tests.reference import models, reference


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
        masked = case.model(case.batch[0])
        kept = case.model[2](torch.ones(1, 7, dtype=torch.float64))[0]
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


SEED, RATE = 3, 0.3


def kept_by_hand(name: str, size: int) -> Tensor:
    """A module's mask, from the definition of its random stream."""
    drawn = random_uniform(stream_key(SEED, "dropout", name), torch.arange(size))
    return (drawn >= RATE).double() / (1 - RATE)


def factor_by_hand(name: str, axis: int | None, output: Tensor) -> Tensor:
    if axis is None:
        return torch.ones((), dtype=torch.float64)
    place = axis % output.dim()
    shape = [1] * output.dim()
    shape[place] = -1
    return kept_by_hand(name, output.shape[place]).reshape(shape)


def by_hand(case: Masked) -> nn.Module:
    """The sub-network, with the mask of every dropout module written into it."""
    factors = {name: partial(factor_by_hand, name, axis) for name, axis in case.axes.items()}
    return written_out(case.made(), factors)


def plan_of(case: Masked, model: nn.Module) -> MaskPlan:
    first, second = case.items([5, 7])
    batches = [batch_of(items) for items in ([first], [first] * 2, [first] * 3, [second])]
    return plan_masks(model, [[partial(model, *batch) for batch in batches]])


def gradients(model: nn.Module, values_N: Tensor) -> Tensor:
    """float64 [N, P]."""
    parameters = [p for _, p in sorted(model.named_parameters())]
    rows = [
        torch.autograd.grad(v, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
        for v in values_N
    ]
    return torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])


LENGTHS = [(5, 3, 7), (D, D), (2, 4), (4, 3, 2, 1), (D, 1, 5, D, 2, 3, D, 6), (1,)]
"""Of the items of a batch: T = D, N = T = D, T = heads, one token."""


@pytest.mark.parametrize("name", MODELS)
def test_equals_the_sub_network_written_out_one_by_one(name: str) -> None:
    case = MODELS[name]
    model, hand = case.made(), by_hand(case)
    mask = DropoutMask(model, SEED, RATE, plan_of(case, model))
    for lengths in LENGTHS:
        items = case.items(lengths)
        alone = torch.cat([gradients(hand, hand(*batch_of([item]))) for item in items])
        for width in {0, D} if case.length is None else {0}:
            with mask.active():
                together = model(*batch_of(items, width))
            torch.testing.assert_close(gradients(model, together), alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_without_a_plan_it_is_the_same_or_refused(name: str) -> None:
    case = MODELS[name]
    model, hand = case.made(), by_hand(case)
    mask = DropoutMask(model, SEED, RATE)
    for lengths in LENGTHS:
        items = case.items(lengths)
        if name in {"inputs", "shared positions"}:  # what comes after tells
            with mask.active(), pytest.raises(UnsupportedModel, match="no layer before"):
                model(*batch_of(items))
            continue
        with mask.active(), torch.no_grad():
            together = model(*batch_of(items))
        torch.testing.assert_close(together, torch.cat([hand(*batch_of([item])) for item in items]))


@pytest.mark.parametrize("name", MODELS)
def test_several_masks_in_one_pass_equal_each_alone_or_are_refused(name: str) -> None:
    case = MODELS[name]
    model = case.made()
    masks = [DropoutMask(model, seed, RATE, plan_of(case, model)) for seed in range(3)]
    for lengths in LENGTHS:
        items = case.items(lengths)
        if name in {"packed", "shared positions"}:
            with stack_masks(masks, model), pytest.raises(UnsupportedModel, match="one mask a pass"):
                model(*batch_of(items * 3))
            continue
        with stack_masks(masks, model), torch.no_grad():
            together = model(*batch_of(items * 3))
        for mask, own in zip(masks, together.chunk(3), strict=True):
            with mask.active(), torch.no_grad():
                torch.testing.assert_close(own, model(*batch_of(items)))


def task_of(case: Masked, items: list[Tensor]) -> Task:
    """A Task whose items may ask to be padded further: (item, width)."""

    def collate(pairs: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
        width = 0 if case.length else max(width for _, width in pairs)
        return batch_of([item for item, _ in pairs], width)

    return Task(
        name="masked",
        model=case.made,
        checkpoints=[Checkpoint(weights=case.made().state_dict())],
        train_set=[(item, 0) for item in items],
        describe=lambda row: Example(id=str(row)),
        loss=lambda model, batch: model(*batch),
        collate=collate,
    )


POOL = [5, D, 2, 4, 12, 1, 3, D, 9, 7]


@dataclass(frozen=True, repr=False)
class Loaded:
    """A member, its items, and each one's gradient under the mask written out by hand."""

    member: MemberModel
    items: list[Tensor]
    gradients_NP: Tensor


@pytest.fixture(scope="module", params=MODELS)
def loaded(request: pytest.FixtureRequest) -> Loaded:
    case = MODELS[request.param]
    items = case.items(POOL)
    chosen = recipe("grad_dot", members={"masks": 1, "mask_seed": SEED, "mask_rate": RATE})
    member = MemberModel.load(task_of(case, items), chosen, Member(0, SEED))
    member.model.double()
    hand = by_hand(case)
    names = [name for block in member.blocks for name in block.parameters]
    rows = reference.gradients_one_by_one(
        hand, lambda model, batch: model(*batch), [batch_of([i]) for i in items], names
    )
    flat = reference.flat(reference.block_matrices(member.blocks, rows))
    return Loaded(member, items, torch.from_numpy(flat))


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.integers(0, len(POOL) - 1), min_size=1, max_size=D),
    width=st.sampled_from([0, 2, 4, D, 2 * D, 13]),
)
def test_an_items_gradient_does_not_depend_on_its_batch(loaded: Loaded, rows: list[int], width: int) -> None:
    found = loaded.member.gradients([(loaded.items[row], width) for row in rows]).dense()
    torch.testing.assert_close(found, loaded.gradients_NP[rows], rtol=1e-8, atol=1e-10)


def test_members_of_one_model_are_planned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    case = MODELS["transformer"]
    task, plans = task_of(case, case.items(POOL)), []
    monkeypatch.setattr(
        "byline.models.network.plan_masks", lambda *a: plans.append(plan_masks(*a)) or plans[-1]
    )
    chosen = recipe("grad_dot", members={"masks": 3})
    whole = MemberModel.load(task, chosen, Member(0))
    assert not plans
    first = MemberModel.load(task, chosen, Member(0, 0), None, whole)
    for sibling in (whole, first):
        MemberModel.load(task, chosen, Member(0, 1), None, sibling)
    assert len(plans) == 1
