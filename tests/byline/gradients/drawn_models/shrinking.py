"""Make any configuration of transformers small: its sizes by their names, everything else as its class has it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import transformers

VOCABULARY = 29
IMAGE = 32


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The sizes of a small model. A model that some do not fit is built with others."""

    heads: int = 2
    groups: int = 1
    head: int = 8
    layers: int = 2
    patch: int = 8
    image: int = IMAGE

    @property
    def width(self) -> int:
        """Width of the model."""
        return self.heads * self.head


TRIED = (
    Sizes(),
    Sizes(groups=2),
    Sizes(heads=4, groups=4, head=4),
    Sizes(heads=4, groups=2, head=16),
    Sizes(layers=4, groups=2),
    Sizes(heads=4, groups=4, head=16, layers=4, image=64, patch=16),
    Sizes(heads=2, groups=2, head=64, layers=2, image=64),
)
"""Sizes in the order in which they are tried."""

_NAMED: dict[str, tuple[str, ...]] = {
    "same": (r"(^|_)(type|token_type)_vocab_size", r"layers?_(per|interval|period|offset)"),
    "vocabulary": (r"vocab(ulary)?_size", r"vocab_size_per_layer_input", r"byte_group_vocab"),
    "power": (r"codebook_size",),
    "groups": (
        r"num_(key_value|kv)_heads",
        r"num_kv",
        r"kv_heads",
        r"multi_query_groups",
        r"key_value_heads",
    ),
    "double_heads": (r"(mamba|ssm)_(n|num)_heads", r"n_mamba_heads"),
    "heads": (r"num_attention_heads", r"n_heads?$", r"heads$", r"num_heads"),
    "two": (r"experts_per_tok(en)?$", r"moe_topk", r"moe_k$", r"top_k$", r"topk$", r"num_experts_per"),
    "one": (
        r"n_shared_experts",
        r"num_shared_experts",
        r"moe_num_shared",
        r"n_groups?$",
        r"topk_group",
        r"num_expert_group",
    ),
    "four": (r"experts$", r"num_local_experts"),
    "half_head": (r"rotary_dim$", r"rope_head_dim", r"lora_rank", r"_rank$"),
    "head": (
        r"head_dim",
        r"head_size",
        r"d_kv$",
        r"kv_channels",
        r"qk_head",
        r"v_head",
        r"d_head",
        r"dim_head",
    ),
    "stride": (r"_(layer_)?(period|offset|interval|step)$",),
    "first": (r"first_k_dense_replace", r"num_dense_layers", r"moe_layer_start_index"),
    "zero": (r"num_nextn_predict_layers", r"num_kv_shared_layers", r"mtp"),
    "layers": (
        r"(num|n)_?.*(layers?|blocks)$",
        r"^(encoder|decoder)_layers$",
        r"num_hidden_layers",
        r"max_window_layers",
    ),
    "length": (
        r"max_(position|source|target|2d)",
        r"n_positions",
        r"n_ctx",
        r"max_.*length",
        r"max_seq",
        r"block_size$",
    ),
    "window": (r"sliding_window", r"local_attention", r"attention_window", r"window_len", r"chunk_size$"),
    "small": (r"d_state", r"state_size", r"d_conv", r"conv_kernel"),
    "image": (r"image_size", r"input_size", r"img_size"),
    "patch": (r"patch_size",),
    "double_width": (
        r"mamba_d_ssm",
        r"d_inner$",
        r"attention_hidden_size",
        r"lru_width",
        r"intermediate",
        r"ffn",
        r"d_?ff$",
    ),
    "inner": (r"n_inner", r"mlp_dim", r"mlp_hidden", r"dim_ff", r"ff_dim", r"inner_dim", r"feed_forward"),
    "width": (
        r"hidden_(size|dim)",
        r"d_model",
        r"n_embd",
        r"embed_dim",
        r"^dim$",
        r"embedding_size",
        r"projection_(dim|size)",
        r"word_embed_proj_dim",
        r"classifier_proj",
        r"output_dim",
        r"model_dim",
        r"hidden_channels",
    ),
    "mels": (r"num_mel_bins", r"feature_size", r"input_feat"),
    "sixteen": (r"original_max", r"buckets", r"max_relative", r"max_distance"),
}
"""Kind of size -> patterns of the names that have it. The first pattern that fits decides."""


def shrunk(config: Any, sizes: Sizes) -> Any:
    """A small configuration of the same class.

    Args:
        config: As its class makes it.
        sizes: Of the small one.
    """
    described = {"model_type", "transformers_version", "dtype", "architectures"}
    fields = {
        n: value for n, value in config.to_dict().items() if not n.startswith("_") and n not in described
    }
    made: dict[str, Any] = {}
    for name, value in fields.items():
        part = config.__dict__.get(name)
        if isinstance(value, Mapping) and isinstance(part, transformers.PreTrainedConfig):
            made[name] = shrunk(part, sizes).to_dict()
        else:
            made[name] = _small(name, value, sizes)
    before, after = _depth(fields), _depth(made)
    for name, value in made.items():
        if isinstance(value, list | tuple) and before and len(value) == before:
            made[name] = _kinds(value, after or sizes.layers)
    if "qk_rope_head_dim" in made:  # the parts of a head that turn with the position, and those that do not
        made["qk_head_dim"] = made["qk_rope_head_dim"] + made["qk_nope_head_dim"]
        if fields.get("head_dim") == fields["qk_rope_head_dim"]:
            made["head_dim"] = made["qk_rope_head_dim"]
    return type(config)(**made)


def _small(name: str, value: Any, sizes: Sizes) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return _number(name, value, sizes)
    if isinstance(value, Mapping):
        return value
    if (
        isinstance(value, list | tuple)
        and value
        and all(isinstance(v, int) and not isinstance(v, bool) for v in value)
    ):
        return _row(name, list(value), sizes)
    return value


def _number(name: str, value: int, sizes: Sizes) -> int:
    if re.search(r"(token_id|token_index|token_idx|_id)$", name):
        return _token(name, value)
    for kind, patterns in _NAMED.items():
        if any(re.search(pattern, name) for pattern in patterns):
            return _sized(kind, value, sizes)
    return value if value <= 64 else 16


def _token(name: str, value: int) -> int:
    """A special token of the small vocabulary: three have a place of their own, the others come at its end."""
    own = {"pad": 0, "bos": 1, "eos": 2, "decoder_start": 1}
    place = next((p for word, p in own.items() if name.startswith(word)), None)
    if place is not None:
        return place if value >= 0 else value
    return value if value < 3 else VOCABULARY - 1 - sum(map(ord, name)) % 6


def _sized(kind: str, value: int, sizes: Sizes) -> int:
    fixed = {
        "vocabulary": VOCABULARY,
        "power": 32,
        "groups": sizes.groups,
        "heads": sizes.heads,
        "double_heads": 2 * sizes.heads,
        "two": 2,
        "four": 4,
        "zero": 0,
        "head": sizes.head,
        "half_head": max(2, sizes.head // 2),
        "image": sizes.image,
        "double_width": 2 * sizes.width,
        "inner": 2 * sizes.width,
        "width": sizes.width,
        "mels": 16,
    }
    most = {
        "one": 1,
        "first": 1,
        "layers": sizes.layers,
        "length": 64,
        "window": 8,
        "small": 4,
        "sixteen": 16,
    }
    most |= {"patch": sizes.patch}
    found = fixed.get(kind, min(value, most.get(kind, value)))
    return found if value > 0 else value


def _row(name: str, values: list[int], sizes: Sizes) -> list[int]:
    """A list of one size a stage."""
    if re.search(r"depths|num_layers|layers$|num_blocks|layer_depths", name):
        return [1] * len(values)
    if re.search(r"heads", name):
        return [min(v, sizes.heads) for v in values]
    if re.search(r"hidden_sizes|embed_dims?|dims$|channels|widths|num_features|conv_dim$|tdnn_dim", name):
        return [sizes.width * (1 + (v > values[0])) for v in values]
    if re.search(r"image_size|input_size", name):
        return [sizes.image] * len(values)
    return values


def _depth(fields: Mapping[str, Any]) -> int | None:
    found = (fields.get(name) for name in ("num_hidden_layers", "n_layer", "num_layers"))
    return next((depth for depth in found if isinstance(depth, int)), None)


def _kinds(values: Sequence[Any], depth: int) -> list[Any]:
    """One layer of each kind first, as far as there are places."""
    kinds = list(dict.fromkeys(map(str, values)))
    chosen = [next(v for v in values if str(v) == kind) for kind in kinds][:depth]
    return (chosen + [chosen[-1]] * depth)[:depth]
