"""Gradients of the caller's own loop, named and shaped as an index wants them."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from byline.client import gradient_of
from byline.errors import InvalidQuery


def info(*members, mask_rate=None, **shapes):
    """An index of these members whose parameters have these shapes; `__` stands for a dot."""
    named = {name.replace("__", "."): shape for name, shape in shapes.items()}
    return SimpleNamespace(
        name="some",
        gradients={f"{member}/{name}": list(shape) for member in members for name, shape in named.items()},
        recipe_document={"members": {"mask_rate": mask_rate}},
    )


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 4)
        self.head = nn.Linear(4, 5, bias=False)
        self.head.weight = self.embed.weight
        self.unused = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.embed(x))


def loss(model):
    return cross_entropy(model(torch.tensor([1, 2])), torch.tensor([3, 0]))


@pytest.mark.parametrize("name", ["embed__weight", "head__weight"])
def test_tied_weights_go_by_any_of_their_names(name):
    torch.manual_seed(0)
    model = Tied()
    found = gradient_of(model, loss, info("c0", **{name: (5, 4)}))
    loss(model).backward()
    torch.testing.assert_close(found[f"c0/{name.replace('__', '.')}"], model.embed.weight.grad)


def test_both_names_of_tied_weights_have_the_whole_gradient():
    found = gradient_of(Tied(), loss, info("c0", embed__weight=(5, 4), head__weight=(5, 4)))
    torch.testing.assert_close(found["c0/embed.weight"], found["c0/head.weight"])


def test_parameters_that_the_loss_leaves_alone_have_zeros():
    found = gradient_of(Tied(), loss, info("c0", unused__weight=(2, 4), embed__weight=(5, 4)))
    assert not found["c0/unused.weight"].any()


def test_frozen_parameters_are_thawed_for_the_time_of_the_call():
    model = Tied().requires_grad_(False)
    found = gradient_of(model, loss, info("c0", embed__weight=(5, 4)))
    assert found["c0/embed.weight"].any()
    assert not model.embed.weight.requires_grad
    with pytest.raises(InvalidQuery, match="function of the model"):
        gradient_of(model, loss(Tied()), info("c0", embed__weight=(5, 4)))


def test_gradients_are_computed_where_none_are_recorded():
    with torch.no_grad():
        assert gradient_of(Tied(), loss, info("c0", embed__weight=(5, 4)))["c0/embed.weight"].any()


def test_what_is_around_a_model_is_taken_off():
    model = Tied()
    compiled = torch.compile(model, backend="eager")
    parallel = nn.DataParallel(model)
    wanted = info("c0", embed__weight=(5, 4))
    plain = gradient_of(model, loss, wanted)["c0/embed.weight"]
    for wrapped in (compiled, parallel):
        found = gradient_of(wrapped, lambda _: loss(model), wanted)["c0/embed.weight"]
        torch.testing.assert_close(found, plain)


@pytest.mark.parametrize(
    ("model", "given", "wanted", "match"),
    [
        (
            Tied(),
            loss,
            info("c0", other__weight=(5, 4)),
            r"parameters other\.weight .* got one with embed\.weight",
        ),
        (Tied(), loss, info("c0", embed__weight=(4, 5)), r"shape \(4, 5\), got \(5, 4\)"),
        (Tied(), loss, info("c0", "c1", embed__weight=(5, 4)), "a model for each of c0, c1"),
        ({"c0": Tied()}, loss, info("c0", "c1", embed__weight=(5, 4)), "a model named 'c1'"),
        ({"c0": Tied()}, torch.zeros(()), info("c0-m0", "c0-m1", embed__weight=(5, 4)), "2 members"),
        (Tied(), lambda m: m.embed.weight, info("c0", embed__weight=(5, 4)), "one number"),
        (Tied(), lambda m: torch.zeros(()), info("c0", embed__weight=(5, 4)), "without a gradient"),
        (Tied(), loss, SimpleNamespace(name="some", gradients=None), "takes gradients"),
    ],
)
def test_what_does_not_fit_is_explained(model, given, wanted, match):
    with pytest.raises(InvalidQuery, match=match):
        gradient_of(model, given, wanted)


def test_a_model_that_is_a_member_itself_gets_no_mask():
    """`c0-m0` names the masked sub-network: whoever has it needs no mask put in place."""
    wanted = info("c0-m0", "c0-m1", embed__weight=(5, 4))
    one, other = Tied(), Tied()
    found = gradient_of({"c0-m0": one, "c0-m1": other}, loss, wanted)
    for member, model in (("c0-m0", one), ("c0-m1", other)):
        expected = torch.autograd.grad(loss(model), model.embed.weight)[0]
        torch.testing.assert_close(found[f"{member}/embed.weight"], expected)
