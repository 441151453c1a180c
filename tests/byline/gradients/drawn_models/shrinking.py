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

_NAMED: Sequence[tuple[str, str]] = (
    (r"(^|_)(type|token_type)_vocab_size|type_vocab", "same"),
    (r"vocab(ulary)?_size|vocab_size_per_layer_input|byte_group_vocab|codebook_size", "vocabulary"),
    (r"num_(key_value|kv)_heads|num_kv|kv_heads|n_kv_heads|multi_query_groups|key_value_heads", "groups"),
    (r"(mamba|ssm)_(n|num)_heads|n_mamba_heads", "double_heads"),
    (r"(linear|index).*(num|n).*heads|num_attention_heads|n_heads?$|heads$|num_heads", "heads"),
    (r"experts_per_tok(en)?$|moe_topk|moe_k$|top_k$|topk$|num_selected|top_k_experts|num_experts_per", "two"),
    (r"n_shared_experts|num_shared_experts|moe_num_shared", "one"),
    (r"experts$|num_experts|num_local_experts", "four"),
    (r"n_group$|topk_group|num_expert_group|n_groups$|mamba_n_groups", "one"),
    (r"rotary_dim$|qk_rope_head_dim|rope_head_dim", "half_head"),
    (r"head_dim|head_size|d_kv$|kv_channels|qk_head|v_head|d_head|head_width|attention_head_dim|dim_head", "head"),
    (r"lora_rank|_rank$|time_step_rank|dt_rank", "half_head"),
    (r"layers?_(per|interval|period|offset)|_(layer_)?(period|offset|interval|step)$", "same"),
    (r"first_k_dense_replace|num_dense_layers|moe_layer_start_index", "one"),
    (r"num_nextn_predict_layers|num_kv_shared_layers|mtp", "zero"),
    (r"(num|n)_?.*(layers?|blocks)$|^(encoder|decoder)_layers$|num_hidden_layers|n_layers?$|max_window_layers", "layers"),
    (r"max_(position|source|target|2d).*|n_positions|n_ctx|max_seq_len|model_max_length|max_sequence_length|max_length|block_size$|original_max", "length"),
    (r"sliding_window|local_attention|attention_window|window_len|chunk_size$|attention_chunk", "window"),
    (r"d_state|state_size|d_conv|conv_kernel", "four_at_most"),
    (r"image_size|input_size|img_size", "image"),
    (r"patch_size", "patch"),
    (r"mamba_d_ssm|d_inner$|mamba_intermediate|attention_hidden_size|lru_width|linear_value_dim", "double_width"),
    (r"intermediate|ffn|d_ff$|dff$|n_inner|mlp_dim|mlp_hidden|dim_ff|ff_dim|inner_dim|feed_forward", "inner"),
    (r"hidden_(size|dim)|d_model|n_embd|embed_dim|^dim$|^width$|embedding_size|emb_dim|projection_(dim|size)|word_embed_proj_dim|classifier_proj|output_dim|d_embed|model_dim|hidden_channels|decoder_hidden|conv_dim_size", "width"),
    (r"num_mel_bins|feature_size|input_feat", "mels"),
    (r"original_max|buckets|max_relative|max_distance|max_bucket", "sixteen"),
)  # fmt: skip


def shrunk(config: Any, sizes: Sizes) -> Any:
    """A small configuration of the same class.

    Args:
        config: As its class makes it.
        sizes: Of the small one.
    """
    fields = {name: value for name, value in config.to_dict().items() if not name.startswith("_")}
    fields = {
        name: value
        for name, value in fields.items()
        if name not in {"model_type", "transformers_version", "dtype", "architectures"}
    }
    made: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping) and isinstance(
            config.__dict__.get(name), transformers.PreTrainedConfig
        ):
            made[name] = shrunk(config.__dict__[name], sizes).to_dict()
        else:
            made[name] = _small(name, value, sizes)
    depth = next(
        (made[n] for n in ("num_hidden_layers", "n_layer", "num_layers") if isinstance(made.get(n), int)),
        sizes.layers,
    )
    for name, value in made.items():
        if _lists_layers(name, value, fields):
            made[name] = _kinds(value, depth)
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
    for pattern, kind in _NAMED:
        if re.search(pattern, name):
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
    found = {
        "vocabulary": VOCABULARY, "groups": sizes.groups, "heads": sizes.heads, "double_heads": 2 * sizes.heads, "two": 2, "one": min(value, 1),
        "four": 4, "zero": 0, "head": sizes.head, "half_head": max(2, sizes.head // 2), "layers": min(value, sizes.layers),
        "length": min(value, 64), "window": min(value, 8), "four_at_most": min(value, 4), "image": sizes.image,
        "patch": min(value, sizes.patch), "double_width": 2 * sizes.width, "inner": 2 * sizes.width, "width": sizes.width,
        "mels": 16, "sixteen": min(value, 16), "same": value,
    }  # fmt: skip
    return found[kind] if value > 0 else value


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


def _lists_layers(name: str, value: Any, fields: Mapping[str, Any]) -> bool:
    depth = next(
        (fields[n] for n in ("num_hidden_layers", "n_layer", "num_layers") if isinstance(fields.get(n), int)),
        None,
    )
    return isinstance(value, list | tuple) and depth is not None and len(value) == depth


def _kinds(values: Sequence[Any], depth: int) -> list[Any]:
    """One layer of each kind first, as far as there are places."""
    kinds = list(dict.fromkeys(map(str, values)))
    chosen = [next(v for v in values if str(v) == kind) for kind in kinds][:depth]
    return (chosen + [chosen[-1]] * depth)[:depth]
