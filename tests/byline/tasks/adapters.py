"""Fine-tuned adapters on the tiny GPT-2, saved as peft does."""

import warnings
from pathlib import Path
from typing import Any

import peft
import torch
from torch import nn

LORA = {"r": 2, "target_modules": ["c_attn"], "fan_in_fan_out": True}


def tuned_model(base: Path, seed: int = 0, **settings: Any) -> nn.Module:
    """A `PeftModel` whose adapter has numbers in all of its matrices."""
    from transformers import GPT2LMHeadModel

    config = peft.LoraConfig(**{**LORA, "task_type": "CAUSAL_LM", **settings})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft asks transformers by a name of yesterday
        model: nn.Module = peft.get_peft_model(GPT2LMHeadModel.from_pretrained(base), config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def save_adapter(base: Path, folder: Path, seed: int = 0, **settings: Any) -> nn.Module:
    model: Any = tuned_model(base, seed, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft tells that it saves a trained embedding whole
        model.save_pretrained(folder)
    return model
