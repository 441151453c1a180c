"""4-bit weights of bitsandbytes: gradients pass them, and the integers that they are stored as are left out by name."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from byline.errors import InvalidTask
from byline.gradients.checks import build_collector
from byline.gradients.collector import GradientCollector
from byline.gradients.quantization import let_gradients_pass
from byline.task import LayerSelection

pytest.importorskip("bitsandbytes", reason="4-bit weights need bitsandbytes")
pytest.importorskip("peft", reason="the extra `lora` is not installed")
four_bit = pytest.importorskip("tests.byline.gradients.families.four_bit")
base = pytest.importorskip("tests.byline.gradients.families.base")

pytestmark = pytest.mark.filterwarnings("ignore")


def tokens() -> list[Tensor]:
    torch.manual_seed(0)
    return list(base.texts())


def sample(count: int) -> dict[str, Tensor]:
    some = tokens()
    return dict(base.padded([some[0], some[1], some[0]][:count]))


def with_lora() -> nn.Module:
    import peft

    torch.manual_seed(0)
    model: Any = peft.get_peft_model(
        four_bit.four_bit_llama(), peft.LoraConfig(r=2, target_modules=["q_proj"])
    )
    return base.spread_trained(model).eval()  # type: ignore[no-any-return]


def gradients(model: nn.Module, run: Callable[[nn.Module], Tensor]) -> dict[str, Tensor]:
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(run(model), list(trained.values()))
    return dict(zip(trained, (grad.double() for grad in found), strict=True))


def test_a_model_that_has_predicted_before_keeps_the_gradients_below_its_4_bit_layers() -> None:
    model, precise = with_lora(), with_lora().double()
    four_bit.dequantized(precise)
    collector = build_collector(model, base.next_token, sample)
    with torch.no_grad():
        base.next_token(collector.model, sample(2))
    found = collector.collect(base.next_token, sample(1), 1)
    expected = gradients(precise, lambda m: base.next_token(m, sample(1)).sum())
    for block in collector.blocks:
        torch.testing.assert_close(
            found.blocks[block.name].dense()[0].double(), expected[block.name], rtol=1e-3, atol=1e-6
        )
        assert found.blocks[block.name].dense().any()


def test_only_4_bit_layers_are_put_into_training_mode() -> None:
    model = let_gradients_pass(with_lora())
    assert {type(module).__name__ for module in model.modules() if module.training} == {"Linear4bit"}


def test_integers_of_quantized_weights_are_left_out_and_the_report_says_so() -> None:
    torch.manual_seed(0)
    collector = build_collector(four_bit.four_bit_llama().eval(), base.next_token, sample)
    report = collector.report()
    assert "model.layers.0.self_attn.q_proj.weight" in report.quantized
    assert "lm_head.weight" in report.attributed
    assert not report.frozen
    assert any(
        "quantized and left out" in line and "without quantization" in line for line in report.notices()
    )


def test_frozen_parameters_that_are_integers_are_left_out_too() -> None:
    torch.manual_seed(0)
    collector = GradientCollector(four_bit.four_bit_llama().eval(), LayerSelection(frozen=True))
    assert not any(name in collector.parameters for name in collector.quantized)


def test_a_selection_of_quantized_weights_alone_is_refused_in_one_line() -> None:
    torch.manual_seed(0)
    with pytest.raises(
        InvalidTask, match=r"all integers of quantized weights: load the model without"
    ) as raised:
        GradientCollector(four_bit.four_bit_llama().eval(), LayerSelection(include=("*q_proj",)))
    assert "\n" not in str(raised.value)
