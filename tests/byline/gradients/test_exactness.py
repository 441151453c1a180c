"""The test bed itself: it passes brute force, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from byline.errors import UnsupportedModel
from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients, DenseFactor, KroneckerGradient, Use
from tests.byline.gradients import structures
from tests.byline.gradients.exactness import Subject, examine
from tests.byline.gradients.random_models import plan, random_subject
from tests.byline.gradients.random_models.influencing import Influence
from tests.byline.gradients.structures.base import N, Plain, cross_entropy, vectors
from tests.byline.gradients.structures.parameters import frozen


@dataclass(frozen=True)
class ByRows:
    """Differentiates the examples of a batch one after the other: slow, plain and exact."""

    subject: Subject
    model: nn.Module
    blocks: Sequence[Block]

    def gradients(self, items: Sequence[Any]) -> BatchGradients:
        parameters = [self.model.get_parameter(block.name) for block in self.blocks]
        values = self.subject.loss(self.model, self.subject.collate(list(items)))
        rows = [self.row(value, parameters) for value in values]
        assert len(rows) == len(items)
        blocks = {b.name: self.gradient([row[n] for row in rows]) for n, b in enumerate(self.blocks)}
        return BatchGradients(values.detach(), blocks)

    def row(self, value: Tensor, parameters: list[nn.Parameter]) -> list[Tensor]:
        if not value.requires_grad or not parameters:
            return [torch.zeros_like(p) for p in parameters]
        grads = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
        return [
            torch.zeros_like(p) if g is None else g.to_dense() for p, g in zip(parameters, grads, strict=True)
        ]

    def gradient(self, rows: list[Tensor]) -> KroneckerGradient:
        flat = torch.stack(rows).reshape(len(rows), 1, -1)
        return KroneckerGradient([Use(DenseFactor(flat), DenseFactor(flat.new_ones(len(rows), 1, 1)))])


def by_rows(subject: Subject, model: nn.Module) -> ByRows:
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad and p.numel()]
    if not trained:
        raise UnsupportedModel("expected a parameter that training could change, found none")
    blocks = [Block(name=n, parameters=(n,), shapes=(tuple(p.shape),), form="vector") for n, p in trained]
    return ByRows(subject, model, blocks)


def plain() -> Subject:
    return Subject(make=frozen(Plain, "first.bias"), loss=cross_entropy, items=vectors())


def test_brute_force_is_exact() -> None:
    verdict = examine(plain(), by_rows)
    assert verdict.outcome == "exact"
    assert verdict.error < 1e-5


@pytest.mark.parametrize("seed", range(10))
def test_brute_force_is_exact_for_random_models(seed: int) -> None:
    if Influence not in plan(seed).parts:
        assert examine(random_subject(seed)[0], by_rows).outcome in {"exact", "refused"}


def test_brute_force_is_exact_for_structures() -> None:
    exact = [case for case in structures.cases() if case.expected == "exact"]
    verdicts = {case.name: examine(case.subject(), by_rows) for case in exact[::4]}
    assert {name for name, verdict in verdicts.items() if verdict.outcome != "exact"} == set()


class Wrong(ByRows):
    """Half of one gradient, of the last example, in batches of four or more."""

    def gradient(self, rows: list[Tensor]) -> KroneckerGradient:
        if len(rows) > 3:
            rows = [*rows[:-1], rows[-1] * 0.998]
        return super().gradient(rows)


def test_a_small_difference_in_one_example_is_found() -> None:
    verdict = examine(plain(), lambda s, m: Wrong(s, m, by_rows(s, m).blocks))
    assert verdict.outcome == "silent"
    assert "in a batch of" in verdict.words


def test_a_parameter_that_is_left_out_is_found() -> None:
    verdict = examine(plain(), lambda s, m: ByRows(s, m, by_rows(s, m).blocks[1:]))
    assert (verdict.outcome, verdict.words) == ("silent", "left out: first.weight")


def test_a_frozen_parameter_that_is_attributed_is_found() -> None:
    def all_of_it(_subject: Subject, model: nn.Module) -> ByRows:
        return by_rows(_subject, model.requires_grad_())

    assert examine(plain(), all_of_it).words == "frozen, yet attributed: first.bias"


def test_other_errors_are_no_refusals() -> None:
    def failing(_subject: Subject, _model: nn.Module) -> ByRows:
        raise ValueError("a shape")

    def refusing(_subject: Subject, _model: nn.Module) -> ByRows:
        raise UnsupportedModel("module 'x'")

    assert examine(plain(), failing).outcome == "crash"
    assert examine(plain(), refusing).outcome == "refused"


def test_copies_of_a_subject_have_the_same_weights() -> None:
    one, other = plain().model().state_dict(), plain().model().state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert len(vectors()) == N
