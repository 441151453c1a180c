"""State spaces, linear attention, and hybrids of both with attention."""

from tests.byline.gradients.families.base import GROUPED, SIZES, VOCABULARY, Family, built, causal


def recurrent_models() -> dict[tuple[str, str], Family]:
    """(family, form) -> how it is built and asked."""
    mamba = {
        "vocab_size": VOCABULARY,
        "hidden_size": 8,
        "state_size": 3,
        "num_hidden_layers": 1,
        "pad_token_id": 0,
    }
    mamba2 = {**mamba, "num_heads": 4, "head_dim": 4, "n_groups": 1, "chunk_size": 4}
    rwkv = {"vocab_size": VOCABULARY, "hidden_size": 8, "num_hidden_layers": 2, "attention_hidden_size": 8}
    griffin = {
        **GROUPED,
        "num_hidden_layers": 3,
        "lru_width": 8,
        "attention_window_size": 4,
        "conv1d_width": 3,
    }
    linear = {"linear_num_key_heads": 2, "linear_num_value_heads": 2, "linear_key_head_dim": 4}
    linear = {**GROUPED, **linear, "linear_value_head_dim": 4, "num_hidden_layers": 2}
    linear = {**linear, "layer_types": ["linear_attention", "full_attention"], "num_experts": 3}
    linear = {
        **linear,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 8,
        "shared_expert_intermediate_size": 8,
    }
    jamba = {
        **SIZES,
        "num_hidden_layers": 2,
        "num_key_value_heads": 1,
        "num_experts": 2,
        "use_mamba_kernels": False,
    }
    jamba = {**jamba, "attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2}
    jamba = {**jamba, "expert_layer_offset": 1, "mamba_d_state": 3, "mamba_dt_rank": 2}
    return {
        ("Mamba", "padding behind"): causal(built("MambaForCausalLM", "MambaConfig", **mamba)),
        ("Mamba-2", "chunks"): causal(built("Mamba2ForCausalLM", "Mamba2Config", **mamba2)),
        ("RWKV", "linear attention"): causal(built("RwkvForCausalLM", "RwkvConfig", **rwkv)),
        ("RecurrentGemma", "linear recurrence, local attention"): causal(
            built("RecurrentGemmaForCausalLM", "RecurrentGemmaConfig", **griffin)
        ),
        ("Qwen3-Next", "gated delta rule, experts"): causal(
            built("Qwen3NextForCausalLM", "Qwen3NextConfig", **linear)
        ),
        ("Jamba", "state space, attention, experts"): causal(
            built("JambaForCausalLM", "JambaConfig", **jamba)
        ),
    }
