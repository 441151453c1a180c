"""Adapters of peft on small models: the base is frozen."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import peft
from torch import nn

from tests.byline.gradients.families.base import GROUPED, Family, built, causal, image, spread_trained
from tests.byline.gradients.families.causal import checkpointed, gpt2, llama
from tests.byline.gradients.families.four_bit import four_bit_llama
from tests.byline.gradients.families.perception import image_models

ATTENTION = ["q_proj", "v_proj"]


def adapted() -> dict[tuple[str, str], Family]:
    """(adapter, form) -> a model with the adapter on it: the base is frozen."""
    return {**_lora(), **_lora_elsewhere(), **_other_adapters(), **_above_four_bits()}


def _lora() -> dict[tuple[str, str], Family]:
    layers: dict[str, Any] = {"target_modules": ATTENTION}
    found = {
        ("LoRA (peft)", "linear layers"): peft.LoraConfig(r=2, **layers),
        ("LoRA (peft)", "all linear layers, scaled by the rank"): peft.LoraConfig(
            r=2, target_modules="all-linear", use_rslora=True
        ),
        ("LoRA (peft)", "dropout"): peft.LoraConfig(r=2, **layers, lora_dropout=0.3),
        ("LoRA (peft)", "PiSSA's start"): peft.LoraConfig(r=2, **layers, init_lora_weights="pissa"),
        ("LoRA (peft)", "two layers, a bias"): peft.LoraConfig(r=2, **layers, bias="lora_only"),
        ("LoRA (peft)", "a bias of its own"): peft.LoraConfig(r=2, **layers, lora_bias=True),
        ("LoRA (peft)", "embedding and head"): peft.LoraConfig(
            r=2, target_modules=["embed_tokens", "lm_head", "q_proj"]
        ),
        ("LoRA (peft)", "the head trained whole"): peft.LoraConfig(
            r=2, **layers, modules_to_save=["lm_head"]
        ),
        ("LoRA (peft)", "a norm trained whole"): peft.LoraConfig(r=2, **layers, modules_to_save=["norm"]),
        ("LoRA (peft)", "some tokens"): peft.LoraConfig(r=2, **layers, trainable_token_indices=[4, 5, 7]),
        ("DoRA (peft)", "linear layers"): peft.LoraConfig(r=2, **layers, use_dora=True),
        ("DoRA (peft)", "embedding"): peft.LoraConfig(
            r=2, target_modules=["embed_tokens", "q_proj"], use_dora=True
        ),
    }
    return {name: causal(_with_adapter(config)) for name, config in found.items()}


def _lora_elsewhere() -> dict[tuple[str, str], Family]:
    tied = llama(tie_word_embeddings=True)
    experts = built("MixtralForCausalLM", "MixtralConfig", **GROUPED, num_local_experts=3)
    both = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
    layers: dict[str, Any] = {"target_modules": ATTENTION}
    transposed: dict[str, Any] = {"target_modules": ["c_attn"], "fan_in_fan_out": True}
    on_images = peft.LoraConfig(r=2, target_modules=["convolution"], modules_to_save=["classifier"])
    found = {
        ("LoRA (peft)", "tied embedding"): (tied, peft.LoraConfig(r=2, target_modules=["embed_tokens"])),
        ("LoRA (peft)", "tied head"): (tied, peft.LoraConfig(r=2, target_modules=["lm_head", "q_proj"])),
        ("LoRA (peft)", "the tied embedding trained whole"): (
            tied,
            peft.LoraConfig(r=2, **layers, modules_to_save=["embed_tokens"], ensure_weight_tying=True),
        ),
        ("LoRA (peft)", "experts"): (
            experts,
            peft.LoraConfig(r=2, target_modules=["q_proj"], target_parameters=both),
        ),
        ("LoRA (peft)", "attention beside experts"): (experts, peft.LoraConfig(r=2, **layers)),
        ("LoRA (peft)", "GPT-2's Conv1D"): (gpt2(), peft.LoraConfig(r=2, **transposed)),
        ("LoRA (peft)", "under gradient checkpointing"): (
            checkpointed(llama(num_hidden_layers=2)),
            peft.LoraConfig(r=2, **layers),
        ),
        ("DoRA (peft)", "GPT-2's Conv1D"): (gpt2(), peft.LoraConfig(r=2, **transposed, use_dora=True)),
    }
    families = {name: causal(_adapt(base, config)) for name, (base, config) in found.items()}
    resnet = image_models()["ResNet", "running BatchNorm"]
    return {**families, ("LoRA (peft)", "convolutions"): image(_adapt(resnet.model, on_images))}


def _other_adapters() -> dict[tuple[str, str], Family]:
    layers: dict[str, Any] = {"target_modules": ATTENTION}
    everywhere = {"target_modules": ["k_proj", "v_proj", "down_proj"], "feedforward_modules": ["down_proj"]}
    virtual: dict[str, Any] = {"num_virtual_tokens": 2, "task_type": "CAUSAL_LM"}
    found = {
        ("IA3 (peft)", "keys, values, feed-forward"): peft.IA3Config(**everywhere),
        ("VeRA (peft)", "linear layers"): peft.VeraConfig(
            r=2, target_modules=["q_proj"], save_projection=True
        ),
        ("AdaLoRA (peft)", "linear layers"): peft.AdaLoraConfig(
            init_r=3, target_r=2, total_step=10, **layers
        ),
        ("LoHa (peft)", "linear layers"): peft.LoHaConfig(r=2, **layers),
        ("LoKr (peft)", "linear layers"): peft.LoKrConfig(r=2, **layers),
        ("OFT (peft)", "linear layers"): peft.OFTConfig(oft_block_size=2, r=0, **layers),
        ("BOFT (peft)", "linear layers"): peft.BOFTConfig(boft_block_size=2, **layers),
        ("HRA (peft)", "linear layers"): peft.HRAConfig(r=2, **layers),
        ("MiSS (peft)", "linear layers"): peft.MissConfig(r=2, **layers),
        ("RandLora (peft)", "linear layers"): peft.RandLoraConfig(r=2, **layers),
        ("VB-LoRA (peft)", "linear layers"): peft.VBLoRAConfig(
            r=1, num_vectors=8, vector_length=2, topk=2, target_modules=["q_proj"]
        ),
        ("SHiRA (peft)", "linear layers"): peft.ShiraConfig(r=1, **layers),
        ("LN tuning (peft)", "norms"): peft.LNTuningConfig(target_modules=["input_layernorm", "norm"]),
        ("Prompt tuning (peft)", "virtual tokens"): peft.PromptTuningConfig(**virtual),
        ("P-tuning (peft)", "virtual tokens"): peft.PromptEncoderConfig(**virtual, encoder_hidden_size=8),
        ("Prefix tuning (peft)", "keys and values"): peft.PrefixTuningConfig(**virtual),
    }
    return {name: causal(_with_adapter(config)) for name, config in found.items()}


def _above_four_bits() -> dict[tuple[str, str], Family]:
    if find_spec("bitsandbytes") is None:
        return {}
    feedforward = {"target_modules": ["k_proj", "down_proj"], "feedforward_modules": ["down_proj"]}
    found = {
        ("QLoRA (peft, bitsandbytes)", "linear layers"): peft.LoraConfig(r=2, target_modules=ATTENTION),
        ("QLoRA (peft, bitsandbytes)", "DoRA"): peft.LoraConfig(r=2, target_modules=ATTENTION, use_dora=True),
        ("QLoRA (peft, bitsandbytes)", "IA3"): peft.IA3Config(**feedforward),
    }
    return {name: causal(_adapt(four_bit_llama, config)) for name, config in found.items()}


def _with_adapter(config: Any) -> Callable[[], nn.Module]:
    layers = 2 if getattr(config, "bias", "none") != "none" else 1
    return _adapt(llama(num_hidden_layers=layers, attention_bias=True), config)


def _adapt(base: Callable[[], nn.Module], config: Any) -> Callable[[], nn.Module]:
    return lambda: spread_trained(peft.get_peft_model(base(), config))
