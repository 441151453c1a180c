"""Models with 4-bit weights of bitsandbytes, on the CPU."""

from typing import Any

import torch
from torch import nn

from tests.byline.gradients.families.causal import llama


def four_bit_llama(**more: Any) -> nn.Module:
    """A model whose linear layers, but for the head, are quantized: wide enough for bitsandbytes' fast path on a CPU."""
    sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 32, **more}
    return quantized(llama(**sizes)())


def quantized(model: nn.Module) -> nn.Module:
    """Put 4-bit layers in the place of a model's linear layers, but for the head."""
    from bitsandbytes.nn import Linear4bit

    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and name != "lm_head":
            layer = Linear4bit(
                module.in_features,
                module.out_features,
                bias=module.bias is not None,
                compute_dtype=torch.float32,
                quant_type="nf4",
            )
            layer.load_state_dict(module.state_dict())
            _put(model, name, layer.to("cpu"))
    return model


def dequantized(model: nn.Module) -> None:
    """Put plain layers, in double precision, in the place of 4-bit ones."""
    for name, module in list(model.named_modules()):
        if type(module).__name__ == "Linear4bit" and type(module).__module__.startswith("bitsandbytes."):
            from bitsandbytes.functional import dequantize_4bit

            weight: Any = module.weight
            layer = nn.Linear(weight.quant_state.shape[1], weight.quant_state.shape[0], bias=False)
            layer.weight = nn.Parameter(dequantize_4bit(weight.data, weight.quant_state).double(), False)
            _put(model, name, layer)


def _put(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, layer)
