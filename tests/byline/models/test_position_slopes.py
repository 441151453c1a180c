"""Derivatives of positions' losses along directions, against differences in float64."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from byline.api.example import Example
from byline.errors import InvalidTask
from byline.gradients.outer_products.tensors import parameter_tensors
from byline.members import Member
from byline.models.member import MemberModel
from byline.models.position_slopes import loss_rates, require_positions
from byline.recipes import recipe
from byline.task import Checkpoint, Positions, Task
from byline.tasks.token_objectives import POSITION_VALUES, collate_causal, mean_token_loss, position_losses
from tests.byline.features import words


@pytest.fixture(scope="module")
def task() -> Task:
    return words.task()


@pytest.fixture(scope="module")
def model(task: Task) -> MemberModel:
    loaded = MemberModel.load(task, recipe("grad_dot"), Member(0))
    loaded.model.double()
    return loaded


def moved_losses(model: MemberModel, task: Task, item: torch.Tensor, direction: torch.Tensor, step: float):
    parameters = dict(model.model.named_parameters())
    moves = parameter_tensors(model.blocks, direction)
    with torch.no_grad():
        for name, move in moves.items():
            parameters[name] += step * move[0]
        losses_T = task.positions.losses(model.model, task.collate([item]))[0]
        for name, move in moves.items():
            parameters[name] -= step * move[0]
    return losses_T


def test_slopes_are_differences_of_the_losses(model: MemberModel, task: Task) -> None:
    width = sum(block.rows * block.columns for block in model.blocks)
    directions = torch.randn(2, 1, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    item, step = task.train_set[0], 1e-5
    before = [p.requires_grad for p in model.model.parameters()]
    slopes = model.position_slopes(item, "loss", directions)
    for slope_T, direction in zip(slopes, directions, strict=True):
        above, below = (moved_losses(model, task, item, direction, each) for each in (step, -step))
        expected_T = (above - below) / (2 * step) / (len(item) - 1)
        torch.testing.assert_close(slope_T, expected_T, rtol=1e-6, atol=1e-8)
    assert [p.requires_grad for p in model.model.parameters()] == before, "the model is as it was"


def test_rates_of_a_target_have_the_sign_of_a_loss(task: Task) -> None:
    positions = require_positions(task)
    batch = task.collate([task.train_set[0]])
    losses = torch.rand(1, len(task.train_set[0]), dtype=torch.float64) + 0.1
    assert (loss_rates(positions, "loss", losses, batch) > 0).all()
    assert (loss_rates(positions, "margin", losses, batch) > 0).all(), "a smaller loss raises the margin"


def test_what_the_task_does_not_declare_is_refused(task: Task) -> None:
    batch = task.collate([task.train_set[0]])
    with pytest.raises(InvalidTask, match=r"loss, margin in Positions\.values"):
        loss_rates(require_positions(task), "logit", torch.ones(1, 3), batch)
    with pytest.raises(InvalidTask, match=r"expected Task\.positions"):
        require_positions(replace(task, positions=None))


SIZES = {
    "vocab_size": 60,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
FAMILIES = {
    "LlamaConfig": {},
    "Qwen3Config": {"head_dim": 8},
    "Gemma2Config": {"head_dim": 8},
    "GPTNeoXConfig": {},
    "BloomConfig": {"n_layer": 2, "n_head": 2},
    "MambaConfig": {"state_size": 4},
    "MixtralConfig": {"num_local_experts": 3},
    "OlmoeConfig": {"num_experts": 4, "num_experts_per_tok": 2},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_slopes_of_every_family_add_up_to_the_products_of_gradients(family: str) -> None:
    import transformers

    config = getattr(transformers, family)(**{**SIZES, **FAMILIES[family]})

    def build() -> torch.nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return transformers.AutoModelForCausalLM.from_config(config).eval()

    generator = torch.Generator().manual_seed(0)
    rows = [torch.randint(3, 60, (length,), generator=generator) for length in (9, 6, 9, 7)]
    items = [{"input_ids": row, "labels": row} for row in rows]
    task = Task(
        name="family",
        model=build,
        checkpoints=[Checkpoint(weights={n: p.clone() for n, p in build().state_dict().items()})],
        train_set=items,
        describe=lambda row: Example(id=str(row)),
        collate=partial(collate_causal, pad_token=0),
        loss=mean_token_loss,
        positions=Positions(losses=position_losses, values=POSITION_VALUES, texts=lambda item: []),
    )
    model = MemberModel.load(task, recipe("grad_dot"), Member(0))
    gradient_1P = model.gradients(items[:1]).dense().double()
    direction_1P = torch.randn(gradient_1P.shape, generator=generator)
    (slope_T,) = model.position_slopes(items[0], "loss", [direction_1P])
    expected = float((gradient_1P * direction_1P.double()).sum())
    assert abs(float(slope_T.sum()) - expected) < 1e-5 * float(slope_T.abs().sum())
