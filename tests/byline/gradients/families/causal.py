"""Language models that predict the next token."""

from collections.abc import Callable
from typing import Any

from torch import nn

from tests.byline.gradients.families.base import GROUPED, SIZES, VOCABULARY, Family, built, causal


def gpt2(**more: Any) -> Callable[[], nn.Module]:
    return built("GPT2LMHeadModel", "GPT2Config", **_short(pad_token_id=0, **more))


def llama(**more: Any) -> Callable[[], nn.Module]:
    return built("LlamaForCausalLM", "LlamaConfig", **{**GROUPED, **more})


def causal_models() -> dict[tuple[str, str], Family]:
    neox = {**SIZES, "rotary_pct": 0.5}
    falcon = {**SIZES, "new_decoder_architecture": False, "multi_query": True}
    opt = {**SIZES, "ffn_dim": 12, "word_embed_proj_dim": 8}
    bloom = {"vocab_size": VOCABULARY, "hidden_size": 8, "n_layer": 1, "n_head": 2}
    smollm = {**GROUPED, "num_hidden_layers": 2, "no_rope_layer_interval": 2, "tie_word_embeddings": True}
    sliding = {"sliding_window": 3, "layer_types": ["sliding_attention"]}
    return {
        ("GPT-2", "tied head"): causal(gpt2()),
        ("GPT-2", "two layers, bfloat16"): causal(lambda: gpt2(n_layer=2)().bfloat16()),
        ("GPT-NeoX", "parallel residual"): causal(built("GPTNeoXForCausalLM", "GPTNeoXConfig", **neox)),
        ("GPT-J", "rotary"): causal(
            built("GPTJForCausalLM", "GPTJConfig", **_short(rotary_dim=2), tie_word_embeddings=False)
        ),
        ("BLOOM", "ALiBi"): causal(built("BloomForCausalLM", "BloomConfig", **bloom)),
        ("OPT", "learned positions"): causal(built("OPTForCausalLM", "OPTConfig", **opt)),
        ("Falcon", "one key for all queries"): causal(built("FalconForCausalLM", "FalconConfig", **falcon)),
        ("Falcon", "ALiBi"): causal(built("FalconForCausalLM", "FalconConfig", **falcon, alibi=True)),
        ("MPT", "ALiBi"): causal(
            built("MptForCausalLM", "MptConfig", d_model=8, n_heads=2, n_layers=1, vocab_size=VOCABULARY)
        ),
        ("Llama", "grouped queries"): causal(llama()),
        ("Llama", "tied head, biases"): causal(llama(tie_word_embeddings=True, attention_bias=True)),
        ("Llama", "bfloat16"): causal(lambda: llama()().bfloat16()),
        ("Llama", "float16"): causal(lambda: llama()().half()),
        ("Llama", "SDPA"): causal(llama(attention="sdpa")),
        ("Llama", "gradient checkpointing"): causal(checkpointed(llama(num_hidden_layers=2))),
        ("SmolLM3", "a layer without positions"): causal(
            built("SmolLM3ForCausalLM", "SmolLM3Config", **smollm)
        ),
        ("Qwen2", "biases"): causal(built("Qwen2ForCausalLM", "Qwen2Config", **GROUPED)),
        ("Qwen3", "norms of queries and keys"): causal(built("Qwen3ForCausalLM", "Qwen3Config", **GROUPED)),
        ("Gemma", "scaled embedding, tied"): causal(built("GemmaForCausalLM", "GemmaConfig", **GROUPED)),
        ("Gemma 2", "softcaps"): causal(built("Gemma2ForCausalLM", "Gemma2Config", **GROUPED, **sliding)),
        ("Gemma 3", "tied"): causal(built("Gemma3ForCausalLM", "Gemma3TextConfig", **GROUPED)),
        ("Mistral", "sliding window"): causal(
            built("MistralForCausalLM", "MistralConfig", **GROUPED, sliding_window=3)
        ),
        ("Phi", "parallel, partly rotary"): causal(
            built("PhiForCausalLM", "PhiConfig", **SIZES, partial_rotary_factor=0.5)
        ),
        ("Phi-3", "one matrix for queries, keys, values"): causal(
            built("Phi3ForCausalLM", "Phi3Config", **{**GROUPED, "num_key_value_heads": 2})
        ),
        ("OLMo", "norms without parameters"): causal(built("OlmoForCausalLM", "OlmoConfig", **GROUPED)),
        ("OLMo 2", "norms behind"): causal(built("Olmo2ForCausalLM", "Olmo2Config", **GROUPED)),
    }


def _short(**more: Any) -> dict[str, Any]:
    """Sizes by the names of GPT-2's kind."""
    sizes = {"n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16, "vocab_size": VOCABULARY}
    return {**sizes, "bos_token_id": 1, "eos_token_id": 2, **more}


def checkpointed(base: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """As training has it: the layers are run again in the backward pass."""

    def make() -> nn.Module:
        model: Any = base()
        model.gradient_checkpointing_enable()
        return model.train()

    return make
