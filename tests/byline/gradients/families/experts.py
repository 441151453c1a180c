"""Mixtures of experts: each token takes its own way through the model."""

from tests.byline.gradients.families.base import GROUPED, Family, built, causal

ROUTED = {"moe_intermediate_size": 8, "num_experts": 3, "num_experts_per_tok": 2}
LATENT = {"kv_lora_rank": 4, "q_lora_rank": 4, "qk_rope_head_dim": 2, "qk_nope_head_dim": 4, "v_head_dim": 4}


def expert_models() -> dict[tuple[str, str], Family]:
    """(family, form) -> how it is built and asked."""
    local = {**GROUPED, "num_local_experts": 3, "num_experts_per_tok": 2}
    deepseek = {
        **GROUPED,
        **LATENT,
        "moe_intermediate_size": 8,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
    }
    deepseek = {
        **deepseek,
        "n_group": 2,
        "topk_group": 1,
        "num_key_value_heads": 2,
        "first_k_dense_replace": 1,
    }
    olmoe = {**GROUPED, "num_experts": 3, "num_experts_per_tok": 2}
    shared = {**GROUPED, **ROUTED, "decoder_sparse_step": 1}
    return {
        ("Mixtral", "three experts, two a token"): causal(
            built("MixtralForCausalLM", "MixtralConfig", **GROUPED, num_local_experts=3)
        ),
        ("OLMoE", "three experts"): causal(built("OlmoeForCausalLM", "OlmoeConfig", **olmoe)),
        ("Qwen2-MoE", "shared expert"): causal(
            built("Qwen2MoeForCausalLM", "Qwen2MoeConfig", **shared, shared_expert_intermediate_size=8)
        ),
        ("Qwen3-MoE", "three experts"): causal(built("Qwen3MoeForCausalLM", "Qwen3MoeConfig", **shared)),
        ("DeepSeek-V3", "latent attention, groups of experts"): causal(
            built(
                "DeepseekV3ForCausalLM",
                "DeepseekV3Config",
                **{**deepseek, "num_hidden_layers": 2, "head_dim": 2},
            )
        ),
        ("GPT-OSS", "sinks"): causal(
            built("GptOssForCausalLM", "GptOssConfig", **local, layer_types=["full_attention"])
        ),
        ("Granite-MoE", "scaled"): causal(built("GraniteMoeForCausalLM", "GraniteMoeConfig", **local)),
        ("PhiMoE", "sparse mixer"): causal(built("PhimoeForCausalLM", "PhimoeConfig", **local)),
    }
