"""Models in half precision, built so by the user's own Task: none is refused, and scores stay near those of float32."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from byline.api.example import Example
from byline.members import Member
from byline.models.device import Compute
from byline.models.member import MemberModel
from byline.recipes import recipe
from byline.task import Checkpoint, Task

transformers = pytest.importorskip("transformers", reason="the extra `hf` is not installed")
base = pytest.importorskip("tests.byline.gradients.families.base")

WHOLE = recipe("grad_dot", projection={"kind": "identity"})
LENGTHS = (30, 2, 28, 10, 30, 2, 25, 30, 3, 30)
"""Whole chunks, and the short rests of documents, whose losses are the largest."""
HALF_PRECISION, MIXED_PRECISION = 0.01, 0.01
"""Largest error of a score, in parts of the largest, as docs/tasks.md says."""


def llama(dtype: torch.dtype) -> nn.Module:
    sizes = {**base.GROUPED, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    config = transformers.LlamaConfig(**{**sizes, "head_dim": 16, "max_position_embeddings": 32})
    torch.manual_seed(0)
    model: Any = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for parameter in model.parameters():
        parameter.data = (3 * parameter.data).bfloat16().float()
    return model.to(dtype)  # type: ignore[no-any-return]


def texts() -> list[Tensor]:
    torch.manual_seed(1)
    return [torch.randint(3, base.VOCABULARY, (length,)) for length in LENGTHS]


def task(make: Callable[[], nn.Module]) -> Task:
    return Task(
        name="half",
        model=make,
        checkpoints=[Checkpoint(weights=make().state_dict())],
        train_set=texts(),
        describe=lambda row: Example(id=str(row)),
        loss=base.next_token,
        collate=base.padded,
    )


def member(dtype: torch.dtype, compute: Compute | None = None) -> MemberModel:
    return MemberModel.load(task(lambda: llama(dtype)), WHOLE, Member(0), compute)


def scores(found: MemberModel) -> Tensor:
    gradients = found.gradients(texts()).dense().double()
    return gradients @ gradients.T


def largest_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_scores_of_a_model_in_half_precision_are_near_those_of_float32(dtype: torch.dtype) -> None:
    half = member(dtype)
    assert half.report.precision == (str(dtype).removeprefix("torch."),)
    error = largest_error(scores(half), scores(member(torch.float32)))
    assert 0 < error < HALF_PRECISION


def test_scores_of_mixed_precision_are_near_those_of_float32() -> None:
    mixed = member(torch.float32, Compute(precision="bfloat16"))
    assert mixed.report.precision == ("float32",)
    assert 0 < largest_error(scores(mixed), scores(member(torch.float32))) < MIXED_PRECISION


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_short_rests_with_the_largest_losses_refuse_no_model(dtype: torch.dtype) -> None:
    rests = [text for text in texts() if len(text) < 11]
    mostly = replace(task(lambda: llama(dtype)), train_set=[*rests, *texts()])
    found = MemberModel.load(mostly, WHOLE, Member(0))
    assert found.report.passes == "batch"
    assert not found.report.unused
