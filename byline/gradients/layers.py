"""The one table of layers: how each kind of module turns its input and its output's gradient into factors.

A module that is not in the table is differentiated by `torch.func`, example by example in one vectorised
call, on its own input: exact for every module that treats the examples of a batch independently.

Shapes: N examples, T positions, the rest as in `factors`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap
from torch.nn import functional as F

from byline.errors import UnsupportedModel
from byline.gradients.blocks import Form
from byline.gradients.factors import DenseFactor, Factor, OneHotFactor, Use


@dataclass(frozen=True)
class Call:
    """One call of a module during the forward pass, with the gradient of its output."""

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    output_grad: Tensor
    """Shaped like the output, with leading dimension N."""
    folded: bool
    """The bias is the last column of the weight's block."""
    per_example: frozenset[int | str] = frozenset()
    """Arguments, by position or name, that hold one slice an example."""

    @property
    def input(self) -> Any:
        """The first argument, however it was passed."""
        return self.args[0] if self.args else next(iter(self.kwargs.values()))


UsesOf = Callable[[Call], dict[str, Use]]
"""Call -> the module's own parameter name -> its factors (a folded bias has no entry)."""


@dataclass(frozen=True)
class LayerRule:
    """How one kind of layer is attributed."""

    uses: UsesOf
    weight_form: Form
    folds_bias: bool = False


def positions(tensor: Tensor) -> Tensor:
    """Bring [N, D] or [N, ..., D] to [N, T, D]."""
    return tensor.reshape(tensor.shape[0], -1, tensor.shape[-1])


def vector_use(grad_NP: Tensor) -> Use:
    """A gradient that is known as such, as a block of one column."""
    return Use(DenseFactor(grad_NP[:, None, :]), DenseFactor(grad_NP.new_ones(grad_NP.shape[0], 1, 1)))


def _matrix_uses(call: Call, left: Tensor, right: Tensor) -> dict[str, Use]:
    """Factors of a layer y = W x + b, from gradients [N, T, O] and inputs [N, T, I]."""
    right_factor: Factor = DenseFactor(right, append_one=call.folded)
    uses = {"weight": Use(DenseFactor(left), right_factor)}
    if not call.folded and getattr(call.module, "bias", None) is not None:
        uses["bias"] = vector_use(left.sum(dim=1))
    return uses


def _linear(call: Call) -> dict[str, Use]:
    return _matrix_uses(call, positions(call.output_grad), positions(call.input))


def _convolution(call: Call) -> dict[str, Use]:
    """Convolution as a linear layer over patches: one position for each place of the kernel."""
    module, inputs, grads = call.module, call.input, call.output_grad
    assert isinstance(module, nn.Conv1d | nn.Conv2d)
    if isinstance(module, nn.Conv1d):
        inputs, grads = inputs[:, :, None, :], grads[:, :, None, :]
    spatial = inputs.dim() - 2
    padding = module._reversed_padding_repeated_twice  # what F.pad takes; also for 'same' and other modes
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    one_dimensional = isinstance(module, nn.Conv1d)
    if any(padding):
        squeezed = inputs[:, :, 0, :] if one_dimensional else inputs
        padded = F.pad(squeezed, padding, mode=mode)
        inputs = padded[:, :, None, :] if one_dimensional else padded
    ones = (1,) * (spatial - len(module.kernel_size))
    patches = F.unfold(
        inputs,
        ones + module.kernel_size,
        dilation=ones + module.dilation,
        stride=ones + module.stride,
    )
    return _matrix_uses(call, grads.flatten(2).transpose(1, 2), patches.transpose(1, 2))


def _embedding(call: Call) -> dict[str, Use]:
    module, indices = call.module, call.input
    assert isinstance(module, nn.Embedding)
    grads = positions(call.output_grad)
    indices_NT = indices.reshape(grads.shape[0], grads.shape[1])
    if module.padding_idx is not None:
        grads = grads * (indices_NT != module.padding_idx)[..., None]
    return {"weight": Use(OneHotFactor(indices_NT, module.num_embeddings, grads.dtype), DenseFactor(grads))}


def _norm_uses(call: Call, normalised: Tensor) -> dict[str, Use]:
    keep = normalised.dim() - len(call.module.weight.shape)  # type: ignore[arg-type]  # norms only
    middle = tuple(range(1, keep))
    grads = {"weight": call.output_grad * normalised, "bias": call.output_grad}
    return {
        name: vector_use((grad.sum(dim=middle) if middle else grad).flatten(1))
        for name, grad in grads.items()
        if getattr(call.module, name, None) is not None
    }


def _layer_norm(call: Call) -> dict[str, Use]:
    assert isinstance(call.module, nn.LayerNorm)
    shape = list(call.module.normalized_shape)
    return _norm_uses(call, F.layer_norm(call.input, shape, eps=call.module.eps))


def _rms_norm(call: Call) -> dict[str, Use]:
    assert isinstance(call.module, nn.RMSNorm)
    shape = list(call.module.normalized_shape)
    return _norm_uses(call, F.rms_norm(call.input, shape, eps=call.module.eps))


def _by_torch_func(call: Call) -> dict[str, Use]:
    """Differentiate a module of any other kind on its own input, one example at a time, vectorised."""
    module = call.module
    names = [name for name, _ in attributed_parameters(module)]
    parameters = {name: module.get_parameter(name).detach() for name in names}
    batched = [place in call.per_example for place in range(len(call.args))]
    keywords = {name: name in call.per_example for name in call.kwargs}

    def gradient(grad: Tensor, args: list[Any], kwargs: dict[str, Any]) -> dict[str, Tensor]:
        one = [a[None] if b else a for a, b in zip(args, batched, strict=True)]
        named = {k: v[None] if keywords[k] else v for k, v in kwargs.items()}

        def output(values: dict[str, Tensor]) -> Tensor:
            result = functional_call(module, values, tuple(one), named)
            return first_tensor(result)

        pull_back = vjp(output, parameters)[1]
        return dict(pull_back(grad[None])[0])

    axes = (
        0,
        [0 if b else None for b in batched],
        {k: 0 if b else None for k, b in keywords.items()},
    )
    try:
        grads = vmap(gradient, in_dims=axes)(call.output_grad, list(call.args), dict(call.kwargs))
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError):
        # Some operators (fused recurrent kernels, data-dependent control flow) cannot be vectorised.
        grads = _one_by_one(gradient, call, batched, keywords)
    return {name: vector_use(grad.flatten(1)) for name, grad in grads.items()}


def _one_by_one(
    gradient: Callable[..., dict[str, Tensor]],
    call: Call,
    batched: list[bool],
    keywords: dict[str, bool],
) -> dict[str, Tensor]:
    rows = []
    for n, grad in enumerate(call.output_grad):
        args = [a[n] if b else a for a, b in zip(call.args, batched, strict=True)]
        rows.append(gradient(grad, args, {k: v[n] if keywords[k] else v for k, v in call.kwargs.items()}))
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def first_tensor(output: Any) -> Tensor:
    """The output that carries the gradient: the tensor itself, or the first of a tuple.

    Raises:
        UnsupportedModel: The module returns no tensor there.
    """
    candidate = output[0] if isinstance(output, tuple | list) and output else output
    if isinstance(candidate, Tensor):
        return candidate
    raise UnsupportedModel(
        f"expected a module with parameters of its own to return a tensor, or a tuple that starts with one, "
        f"got {type(output).__name__}: exclude the module from Task.layers"
    )


GENERIC = LayerRule(_by_torch_func, "vector")
RULES: dict[type[nn.Module], LayerRule] = {
    nn.Linear: LayerRule(_linear, "matrix", folds_bias=True),
    nn.Conv1d: LayerRule(_convolution, "matrix", folds_bias=True),
    nn.Conv2d: LayerRule(_convolution, "matrix", folds_bias=True),
    nn.Embedding: LayerRule(_embedding, "matrix"),
    nn.LayerNorm: LayerRule(_layer_norm, "vector"),
    nn.RMSNorm: LayerRule(_rms_norm, "vector"),
}
HUGGING_FACE_CONV1D = LayerRule(_linear, "transposed", folds_bias=True)
USE_CHILDREN_FUNCTIONALLY = (nn.MultiheadAttention,)
"""Modules that read their children's parameters without calling the children."""


def rule_for(module: nn.Module) -> LayerRule:
    """Find the rule of a module; subclasses may compute something else, so types must match exactly.

    Raises:
        UnsupportedModel: The module is one whose gradient cannot be taken example by example.
    """
    kind = type(module)
    if kind.__name__ == "Conv1D" and kind.__module__ == "transformers.pytorch_utils":
        return HUGGING_FACE_CONV1D
    if isinstance(module, nn.Conv1d | nn.Conv2d) and module.groups != 1:
        return GENERIC
    if isinstance(module, nn.Embedding) and (module.max_norm is not None or module.scale_grad_by_freq):
        raise UnsupportedModel(
            "expected an Embedding without max_norm and scale_grad_by_freq, got one with: its gradient depends "
            "on the other examples of the batch; exclude it from Task.layers"
        )
    return RULES.get(kind, GENERIC)


def attributed_parameters(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """The parameters that a module itself applies, by their names within it."""
    recurse = isinstance(module, USE_CHILDREN_FUNCTIONALLY)
    return list(module.named_parameters(recurse=recurse))
