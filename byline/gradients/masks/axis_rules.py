"""The table of axis rules: known axes of an operation's output from those of its inputs.

Operations are those that remain when PyTorch has taken a model apart: `nn.Linear` is `addmm`, `einsum` is `bmm`. One
that is not in the table leaves nothing known, and where that matters the mask is refused rather than guessed.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from byline.gradients.masks.axes import (
    Axes,
    Axis,
    Known,
    Operation,
    Part,
    Rule,
    Source,
    join_axes,
    mark_features,
    regroup_axes,
    unknown_axes,
)


def makes_probabilities(func: Any) -> bool:
    """Tell whether an operation is a softmax."""
    return _name(func) in {"_softmax", "_safe_softmax", "_masked_softmax"}


def keeps_probabilities(inputs: Sequence[Tensor], known: Sequence[Known], output: Tensor) -> bool:
    """Tell whether all that an operation takes, but for smaller tensors that it spreads over them, are probabilities."""
    whole = [k for t, k in zip(inputs, known, strict=True) if t.numel() == output.numel() and not k.weight]
    floating = output.is_floating_point() and bool(whole)
    return floating and all(
        k.probabilities
        for t, k in zip(inputs, known, strict=True)
        if t.numel() >= output.numel() and t.is_floating_point() and not k.weight
    )


def rule_of(func: Any) -> Rule:
    """Find the rule of an operation."""
    found = RULES.get(_name(func))
    if found is not None:
        return found
    return _entrywise if torch.Tag.pointwise in func.tags else _unknown


def _name(func: Any) -> str:
    name: str = func._schema.name.removeprefix("aten::")
    return name if name == "_" or name.startswith("__") else name.removesuffix("_")


def _unknown(operation: Operation) -> list[Axes]:
    return [unknown_axes(output.shape) for output in operation.outputs]


def _entrywise(operation: Operation) -> list[Axes]:
    return [_spread(operation, operation.tensors(), operation.outputs[0].shape)]


def _spread(operation: Operation, tensors: Sequence[Tensor], shape: Sequence[int]) -> Axes:
    """Axes of tensors that are broadcast to one shape."""
    found: list[Axis] = []
    for place in range(1, len(shape) + 1):
        own = []
        for tensor in tensors:
            if tensor.dim() >= place and tensor.shape[-place] == shape[-place]:
                known = operation.known(tensor)
                own.append((known.axes[-place], known.weight))
        found.append(join_axes(own) if own else unknown_axes(shape[-place : len(shape) - place + 1])[0])
    return tuple(reversed(found))


def _kept(operation: Operation) -> list[Axes]:
    """Axes stay in their places, and may change their sizes."""
    before = operation.known(operation.tensors()[0]).axes
    return [
        tuple(_resized(axis, size) for axis, size in zip(before, output.shape, strict=True))
        for output in operation.outputs
        if output.dim() == len(before)
    ]


def _resized(axis: Axis, size: int) -> Axis:
    if torch.Size([part.size for part in axis]).numel() == size:
        return axis
    feature = any(part.feature for part in axis)
    return (Part(size, feature, Source([part.source for part in axis])),) if size != 1 else ()


def _regrouped(operation: Operation) -> list[Axes]:
    before = operation.known(operation.tensors()[0]).axes
    return [regroup_axes(before, output.shape) for output in operation.outputs]


def _permuted(operation: Operation) -> list[Axes]:
    before = operation.axes("self")
    return [tuple(before[place] for place in operation.arguments["dims"])]


def _transposed(operation: Operation) -> list[Axes]:
    axes = list(operation.axes("self"))
    if len(axes) > 1:
        one, other = operation.arguments.get("dim0", 0), operation.arguments.get("dim1", 1)
        axes[one], axes[other] = axes[other], axes[one]
    return [tuple(axes)]


def _expanded(operation: Operation) -> list[Axes]:
    return [_spread(operation, operation.tensors("self"), operation.outputs[0].shape)]


def _repeated(operation: Operation) -> list[Axes]:
    before, shape = operation.axes("self"), operation.outputs[0].shape
    padded = ((),) * (len(shape) - len(before)) + before
    return [tuple(_resized(axis, size) for axis, size in zip(padded, shape, strict=True))]


def _selected(operation: Operation) -> list[Axes]:
    axes = list(operation.axes("self"))
    del axes[operation.arguments.get("dim", 0)]
    return [tuple(axes)] * len(operation.outputs)


def _indexed(operation: Operation) -> list[Axes]:
    before, after = operation.axes("self"), operation.outputs[0].shape
    kept: list[tuple[int, Axis]] = []
    given: list[int] = []
    place = 0
    for index in operation.arguments["indices"]:
        if index is None:
            kept.append((place, before[place]))
            place += 1
        else:
            given.append(place)
            place += index.dim() if index.dtype in {torch.bool, torch.uint8} else 1
    kept += list(enumerate(before))[place:]
    made = unknown_axes(after[: len(after) - len(kept)])
    together = all(not (given[0] < at < given[-1]) for at, _ in kept)
    ahead = [axis for at, axis in kept if together and at < given[0]]
    made = unknown_axes(after[len(ahead) : len(ahead) + len(made)])
    return [(*ahead, *made, *[axis for _, axis in kept[len(ahead) :]])]


def _written(operation: Operation) -> list[Axes]:
    """Numbers are written into a tensor, whose last axes are theirs."""
    chosen = operation.tensors("self", "values", "src", "source")
    return [_spread(operation, chosen, operation.outputs[0].shape)]


def _reduced(operation: Operation) -> list[Axes]:
    before = operation.known(operation.tensors()[0]).axes
    given = operation.arguments.get("dim")
    gone = range(len(before)) if given in (None, []) else [given] if isinstance(given, int) else given
    places = {place % len(before) for place in gone} if before else set()
    keep = operation.arguments.get("keepdim", False)
    axes = [
        () if place in places else axis for place, axis in enumerate(before) if keep or place not in places
    ]
    return [tuple(axes)] * len(operation.outputs)


def _concatenated(operation: Operation) -> list[Axes]:
    tensors = [
        tensor for tensor in operation.tensors("tensors") if tensor.dim() == operation.outputs[0].dim()
    ]
    shape = operation.outputs[0].shape
    place = operation.arguments.get("dim", 0) % len(shape)
    axes = list(_spread(operation, tensors, shape))
    parts = [part for tensor in tensors for part in operation.known(tensor).axes[place]]
    axes[place] = (Part(shape[place], any(p.feature for p in parts), Source([p.source for p in parts])),)
    return [tuple(axes)]


def _stacked(operation: Operation) -> list[Axes]:
    tensors, shape = operation.tensors("tensors"), operation.outputs[0].shape
    place = operation.arguments.get("dim", 0) % len(shape)
    axes = list(_spread(operation, tensors, tensors[0].shape))
    axes.insert(place, unknown_axes(shape[place : place + 1])[0])
    return [tuple(axes)]


def _product(one: str, other: str) -> Rule:
    """[..., M, K] times [..., K, P]: with a weight the axis that it makes holds features, else what both sides' hold.

    Of two weights the second is the layer's: the first is a table of embeddings.
    """

    def rule(operation: Operation) -> list[Axes]:
        left, right = (operation.known(operation.arguments[name]) for name in (one, other))
        *batch, rows, inner = left.axes
        *others, taken, columns = right.axes
        ahead = [join_axes([(a, left.weight), (b, right.weight)]) for a, b in zip(batch, others, strict=True)]
        if not (left.weight or right.weight):
            kept = any(part.feature for part in (*rows, *columns))
            cleared = [axis if kept else _cleared(axis) for axis in ahead]
            return [(*cleared, rows, columns)]
        operation.consume(inner if right.weight else taken)
        made = _made(operation.outputs[0].shape[-1 if right.weight else -2])
        pair = (_cleared(rows), made) if right.weight else (made, _cleared(columns))
        return [(*[_cleared(axis) for axis in ahead], *pair)]

    return rule


def _made(size: int) -> Axis:
    return (Part(size, feature=True),)


def _cleared(axis: Axis) -> Axis:
    return tuple(replace(part, feature=False) for part in axis)


def _linear(operation: Operation) -> list[Axes]:
    *others, taken = operation.axes("input")
    operation.consume(taken)
    return [(*map(_cleared, others), _made(operation.outputs[0].shape[-1]))]


def _convolution(operation: Operation) -> list[Axes]:
    shape, before = operation.outputs[0].shape, operation.axes("input")
    operation.consume(before[1])
    across = [_cleared(_resized(axis, size)) for axis, size in zip(before[2:], shape[2:], strict=True)]
    return [(_cleared(before[0]), _made(shape[1]), *across)]


def _embedding(operation: Operation) -> list[Axes]:
    return [(*map(_cleared, operation.axes("indices")), _made(operation.outputs[0].shape[-1]))]


def _embedding_bag(operation: Operation) -> list[Axes]:
    rows, width = operation.outputs[0].shape
    return [(*unknown_axes((rows,)), _made(width))]


def _channels(operation: Operation) -> list[Axes]:
    """BatchNorm and GroupNorm: the second axis."""
    before = operation.known(operation.tensors()[0]).axes
    operation.consume(before[1])
    return [mark_features(before, 1)]


def _layer_norm(operation: Operation) -> list[Axes]:
    before = operation.axes("input")
    if len(operation.arguments["normalized_shape"]) != 1:
        return [before]
    operation.consume(before[-1])
    return [mark_features(before, -1)]


def _last(operation: Operation) -> list[Axes]:
    """Layers of several operations at once, recurrent ones and transformers: the last axis."""
    before = operation.known(operation.tensors()[0]).axes
    operation.consume(before[-1])
    found = []
    for output in operation.outputs:
        same = before if len(before) == output.dim() else unknown_axes(output.shape)
        axes = [_cleared(_resized(axis, size)) for axis, size in zip(same, output.shape, strict=True)]
        found.append((*axes[:-1], _made(output.shape[-1])) if output.dim() else ())
    return found


def _attention(operation: Operation) -> list[Axes]:
    """Weighted means of values: the values' features, at the queries' positions."""
    return [(*operation.axes("query")[:-1], operation.axes("value")[-1])]


def _complex_pairs(operation: Operation) -> list[Axes]:
    before = operation.axes("self")
    return [(*before, *unknown_axes((2,))) if operation.outputs[0].dim() > len(before) else before[:-1]]


def _named(rule: Rule, names: str) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


RULES: dict[str, Rule] = {
    **_named(_product("self", "mat2"), "mm bmm"),
    **_named(_product("mat1", "mat2"), "addmm"),
    **_named(_product("batch1", "batch2"), "baddbmm"),
    **_named(_linear, "linear mkldnn_linear _mkldnn_linear"),
    **_named(_convolution, "convolution _convolution mkldnn_convolution cudnn_convolution"),
    **_named(_embedding, "embedding"),
    **_named(_embedding_bag, "_embedding_bag _embedding_bag_forward_only"),
    **_named(
        _channels,
        "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training cudnn_batch_norm "
        "miopen_batch_norm _batch_norm_with_update _batch_norm_no_update native_group_norm",
    ),
    **_named(_layer_norm, "native_layer_norm _fused_rms_norm"),
    **_named(
        _last,
        "mkldnn_rnn_layer _cudnn_rnn miopen_rnn _thnn_fused_lstm_cell _thnn_fused_gru_cell "
        "_native_multi_head_attention _transformer_encoder_layer_fwd",
    ),
    **_named(
        _attention,
        "_scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_flash_attention "
        "_scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention "
        "_scaled_dot_product_fused_attention_overrideable",
    ),
    **_named(_regrouped, "view _unsafe_view reshape _reshape_alias squeeze unsqueeze"),
    **_named(_permuted, "permute"),
    **_named(_transposed, "transpose t"),
    **_named(_expanded, "expand"),
    **_named(_repeated, "repeat"),
    **_named(_selected, "select unbind"),
    **_named(_indexed, "index _unsafe_index"),
    **_named(
        _written, "index_put _unsafe_index_put copy masked_scatter scatter index_copy index_add scatter_add"
    ),
    **_named(
        _reduced,
        "mean sum prod amax amin max min aminmax var std var_mean std_mean logsumexp norm linalg_vector_norm median "
        "nanmedian nansum mode argmax argmin any all count_nonzero",
    ),
    **_named(_concatenated, "cat"),
    **_named(_stacked, "stack"),
    **_named(_complex_pairs, "view_as_complex view_as_real"),
    **_named(
        _kept,
        "_to_copy detach alias lift_fresh lift _conj _neg_view roll flip cumsum cumprod logcumsumexp cummax cummin sort "
        "topk slice split split_with_sizes unsafe_split unsafe_split_with_sizes narrow index_select gather "
        "slice_scatter select_scatter _log_softmax _softmax _safe_softmax _masked_softmax native_dropout tril triu "
        "hardswish glu _prelu_kernel rrelu_with_noise log_sigmoid_forward softplus renorm bernoulli "
        "max_pool2d_with_indices max_pool3d_with_indices avg_pool2d avg_pool3d _adaptive_avg_pool2d "
        "_adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d upsample_nearest1d upsample_nearest2d "
        "upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d upsample_linear1d upsample_bilinear2d "
        "_upsample_bilinear2d_aa upsample_bicubic2d upsample_trilinear3d constant_pad_nd reflection_pad1d "
        "reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d pixel_shuffle "
        "pixel_unshuffle grid_sampler_2d grid_sampler_3d _fft_r2c _fft_c2r _fft_c2c channel_shuffle",
    ),
}
