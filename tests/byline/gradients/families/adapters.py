"""Adapters of peft on small models: the base is frozen."""

from collections.abc import Callable
from typing import Any

import peft
import torch
from torch import nn

from tests.byline.gradients.families.base import Family, causal, image
from tests.byline.gradients.families.causal import gpt2, llama
from tests.byline.gradients.families.perception import image_models

ATTENTION = ["q_proj", "v_proj"]


def adapted() -> dict[tuple[str, str], Family]:
    """(adapter, form) -> a model with the adapter on it: the base is frozen."""
    layers = {"target_modules": ATTENTION}
    everywhere = {"target_modules": ["k_proj", "v_proj", "down_proj"], "feedforward_modules": ["down_proj"]}
    found = {
        ("LoRA (peft)", "linear layers"): peft.LoraConfig(r=2, **layers),
        ("LoRA (peft)", "two layers, a bias"): peft.LoraConfig(r=2, **layers, bias="lora_only"),
        ("LoRA (peft)", "embedding and head"): peft.LoraConfig(
            r=2, target_modules=["embed_tokens", "q_proj"]
        ),
        ("LoRA (peft)", "the head trained whole"): peft.LoraConfig(
            r=2, **layers, modules_to_save=["lm_head"]
        ),
        ("DoRA (peft)", "linear layers"): peft.LoraConfig(r=2, **layers, use_dora=True),
        ("IA3 (peft)", "keys, values, feed-forward"): peft.IA3Config(**everywhere),
        ("VeRA (peft)", "linear layers"): peft.VeraConfig(
            r=2, target_modules=["q_proj"], save_projection=True
        ),
        ("AdaLoRA (peft)", "linear layers"): peft.AdaLoraConfig(
            init_r=3, target_r=2, total_step=10, **layers
        ),
        ("LoHa (peft)", "linear layers"): peft.LoHaConfig(r=2, **layers),
        ("LoKr (peft)", "linear layers"): peft.LoKrConfig(r=2, **layers),
        ("Prompt tuning (peft)", "virtual tokens"): peft.PromptTuningConfig(
            num_virtual_tokens=2, task_type="CAUSAL_LM"
        ),
    }
    families = {name: causal(_with_adapter(config)) for name, config in found.items()}
    images_too = peft.LoraConfig(r=2, target_modules=["convolution"], modules_to_save=["classifier"])
    resnet = image_models()["ResNet", "running BatchNorm"]
    families["LoRA (peft)", "convolutions"] = image(_adapt(resnet.model, images_too))
    transposed = peft.LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True)
    families["LoRA (peft)", "GPT-2's Conv1D"] = causal(_adapt(gpt2(), transposed))
    return families


def _with_adapter(config: Any) -> Callable[[], nn.Module]:
    layers = 2 if getattr(config, "bias", "none") != "none" else 1
    return _adapt(llama(num_hidden_layers=layers, attention_bias=True), config)


def _adapt(base: Callable[[], nn.Module], config: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        model = peft.get_peft_model(base(), config)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data.add_(0.3 * torch.randn_like(parameter))
        return model

    return make
