"""Notices tell of what a person froze, and not of what peft freezes below an adapter."""

from pathlib import Path

import pytest
from torch import nn

from byline.gradients.report import ParameterReport
from byline.gradients.selection import select
from byline.task import LayerSelection
from tests.byline.tasks.adapters import tuned_model


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = tmp_path_factory.mktemp("base")
    config = GPT2Config(
        vocab_size=20, n_positions=8, n_embd=8, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def report(model: nn.Module) -> ParameterReport:
    found = select(model, LayerSelection())
    attributed = tuple(name for block in found.blocks for name in block.parameters)
    return ParameterReport(attributed=attributed, frozen=found.frozen, quantized=found.quantized)


def test_the_base_below_an_adapter_is_frozen_on_purpose(base: Path) -> None:
    found = report(tuned_model(base))
    assert any(name.endswith("c_attn.base_layer.weight") for name in found.frozen)
    assert any(name.endswith("wte.weight") for name in found.frozen)
    assert found.notices() == ()


def test_a_frozen_matrix_of_an_adapter_is_told(base: Path) -> None:
    model = tuned_model(base)
    chosen = [name for name, _ in model.named_parameters() if "lora_A" in name]
    for name in chosen:
        model.get_parameter(name).requires_grad_(False)
    (line,) = report(model).notices()
    assert line.startswith(f"{len(chosen)} parameters are (")
    assert "lora_A" in line
    assert "base_layer" not in line


def test_a_frozen_layer_without_an_adapter_is_told() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    model[0].requires_grad_(False)
    (line,) = report(model).notices()
    assert line.startswith("2 parameters are (0.weight, 0.bias) frozen (requires_grad=False)")


@pytest.mark.parametrize("adapted", [True, False])
def test_quantized_weights_are_told_unless_an_adapter_was_trained_on_them(adapted: bool) -> None:
    below = ".base_layer" if adapted else ""
    found = ParameterReport(
        attributed=("q.lora_A.default.weight",) if adapted else ("head.weight",),
        frozen=("norm.weight",) if adapted else (),
        quantized=(f"q{below}.weight", "up.weight"),
    )
    assert [
        line.startswith("2 parameters are (q.weight, up.weight) quantized") for line in found.notices()
    ] == ([] if adapted else [True])
