"""Per-example gradients equal one-by-one autograd, whatever the layers, the batch and the threads."""

import threading
from dataclasses import replace

import pytest
import torch
from torch import nn

from byline.errors import NonFiniteGradient, UnsupportedModel
from byline.gradients.checks import build_collector
from byline.gradients.collector import GradientCollector
from byline.gradients.outer_products.factors import BatchGradients
from tests.reference import models, reference


def dense(gradients: BatchGradients) -> torch.Tensor:
    return gradients.dense()


@pytest.mark.parametrize("name", models.CASES)
def test_equals_autograd_one_by_one(name: str) -> None:
    case = models.CASES[name]()
    collector = build_collector(case.model, case.loss, case.sample)
    assert collector.separation is not None  # one pass serves a batch
    assert collector.notice is None
    found = collector.collect(case.loss, case.batch, case.count)
    names = [p for block in collector.blocks for p in block.parameters]
    rows = reference.gradients_one_by_one(
        case.model, case.loss, [case.one(n) for n in range(case.count)], names
    )
    for block, expected in reference.block_matrices(collector.blocks, rows).items():
        torch.testing.assert_close(found.blocks[block].dense(), torch.tensor(expected), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", models.CASES)
def test_every_parameter_is_attributed(name: str) -> None:
    case = models.CASES[name]()
    collector = build_collector(case.model, case.loss, case.sample)
    covered = {p for block in collector.blocks for p in block.parameters}
    assert covered == {n for n, _ in case.model.named_parameters()}


@pytest.mark.parametrize("name", models.CASES)
def test_batch_composition_and_order_do_not_matter(name: str) -> None:
    case = models.CASES[name]()
    collector = build_collector(case.model, case.loss, case.sample)
    whole = dense(collector.collect(case.loss, case.batch, case.count))
    rows = [2, 0, 3]
    torch.testing.assert_close(
        dense(collector.collect(case.loss, case.some(rows), 3)), whole[rows], rtol=1e-9, atol=1e-11
    )


@pytest.mark.parametrize("name", models.CASES)
def test_squared_norms_and_rows_agree_with_the_dense_gradient(name: str) -> None:
    case = models.CASES[name]()
    collector = build_collector(case.model, case.loss, case.sample)
    for gradient in collector.collect(case.loss, case.batch, case.count).blocks.values():
        dense_NOI = gradient.dense()
        torch.testing.assert_close(gradient.squared_norms(), dense_NOI.square().sum(dim=(1, 2)))
        torch.testing.assert_close(gradient.rows(0, 1), dense_NOI[:, :1])


def test_two_collectors_in_two_threads() -> None:
    cases = [models.mlp(), models.mlp()]
    collectors = [build_collector(c.model, c.loss, c.sample) for c in cases]
    expected = [dense(c.collect(k.loss, k.batch, k.count)) for c, k in zip(collectors, cases, strict=True)]
    wrong: list[int] = []

    def work(i: int) -> None:
        for _ in range(30):
            # Both threads use the same model: hooks must answer their own thread only.
            found = dense(collectors[0].collect(cases[0].loss, cases[i].batch, cases[i].count))
            if not torch.allclose(found, expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


class Sneaky(nn.Module):
    """Reads a weight outside the module that owns it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(5, 5)
        self.out = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.fc(x) @ self.fc.weight)


def assert_exact_one_by_one(model: nn.Module, case: models.Case) -> GradientCollector:
    """A model that one pass for a batch cannot serve is still exact, and says why it is slower."""
    collector = build_collector(model, case.loss, case.sample)
    assert collector.separation is None
    names = [p for block in collector.blocks for p in block.parameters]
    singles = [case.one(n) for n in range(case.count)]
    rows = reference.gradients_one_by_one(model, case.loss, singles, names)
    expected = torch.tensor(reference.flat(reference.block_matrices(collector.blocks, rows)))
    torch.testing.assert_close(
        dense(collector.one_by_one(case.loss, singles)), expected, rtol=1e-9, atol=1e-11
    )
    if collector.independent:
        torch.testing.assert_close(
            dense(collector.collect(case.loss, case.batch, case.count)), expected, rtol=1e-9, atol=1e-11
        )
    return collector


def test_a_parameter_used_outside_its_module_is_taken_one_example_at_a_time() -> None:
    case = models.mlp()
    collector = assert_exact_one_by_one(Sneaky().double().eval(), case)
    assert collector.notice is not None
    assert "'fc.weight' is used outside" in collector.notice


def test_examples_that_influence_one_another_are_taken_one_at_a_time() -> None:
    case = models.mlp()

    def centred(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        losses = models.cross_entropy(model, batch)
        return losses * losses.mean()

    collector = assert_exact_one_by_one(case.model, replace(case, loss=centred))
    assert not collector.independent
    with pytest.raises(UnsupportedModel, match=r"depends on the other examples.*one at a time"):
        collector.collect(centred, case.batch, case.count)


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_non_finite_gradients_are_refused(poison: float) -> None:
    case = models.mlp()
    collector = build_collector(case.model, case.loss, case.sample)
    inputs, labels = case.batch[0].clone(), case.batch[1]
    inputs[3, 0] = poison
    with pytest.raises(NonFiniteGradient):
        collector.collect(case.loss, (inputs, labels), case.count)


def test_a_target_that_reaches_one_layer_only_has_zeros_elsewhere() -> None:
    case = models.mlp()
    collector = build_collector(case.model, case.loss, case.sample)
    found = collector.collect(lambda m, b: m[0](b[0]).sum(dim=1), case.batch, case.count)
    assert found.blocks["0.weight"].dense().abs().sum() > 0
    assert found.blocks["5.weight"].dense().abs().sum() == 0


class Masked(nn.Module):
    """A weight of its own, and an argument as long as the text that all examples share."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return mask @ (x * self.weight)


class UsesMask(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.masked = nn.Linear(4, 4), Masked()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = torch.ones(x.shape[1], x.shape[1], dtype=x.dtype).tril()
        h = self.masked(self.first(input=x), mask=mask)
        return self.attention(h, h, h, attn_mask=mask == 0, need_weights=False)[0].sum(dim=(1, 2))


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_an_argument_as_long_as_the_batch_is_not_taken_for_one() -> None:
    torch.manual_seed(0)
    model, texts = UsesMask().double().eval(), torch.randn(9, 6, 4, dtype=torch.float64)

    def loss(m: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return m(batch).square()

    collector = build_collector(model, loss, lambda count: texts[[0, 1, 0][:count]])
    names = [p for block in collector.blocks for p in block.parameters]
    rows = reference.gradients_one_by_one(model, loss, [texts[n : n + 1] for n in range(9)], names)
    expected = torch.tensor(reference.flat(reference.block_matrices(collector.blocks, rows)))
    for count in (5, 6, 7):  # six positions
        torch.testing.assert_close(dense(collector.collect(loss, texts[:count], count)), expected[:count])


def test_a_model_that_calls_a_layer_once_an_example_is_taken_one_example_at_a_time() -> None:
    class Loops(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(5, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([self.fc(row) for row in x])

    collector = assert_exact_one_by_one(Loops().double().eval(), models.mlp())
    assert "as the batch grows" in str(collector.notice)
