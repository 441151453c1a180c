"""Quantized weights: integers have no gradient, and layers that hold them must let gradients pass."""

from torch import Tensor, nn


def let_gradients_pass(model: nn.Module) -> nn.Module:
    """Let gradients pass the 4-bit layers of a model in evaluation mode.

    In evaluation mode on a CPU, bitsandbytes repacks the weights of a 4-bit layer for a bfloat16 product without a
    backward pass: everything below loses its gradient without a word. Such layers alone stay in training mode, which
    changes nothing else in them.

    Args:
        model: In evaluation mode. Changed in place.

    Returns:
        The model.
    """
    for module in model.modules():
        if _is_four_bit(module):
            if _is_packed(module):
                module.state_dict()  # unpacks the weights in place
            module.train()
    return model


def has_numbers(parameter: Tensor) -> bool:
    """Tell whether a parameter holds numbers that training can change, not the codes of quantized ones."""
    return parameter.is_floating_point() or parameter.is_complex()


def _is_four_bit(module: nn.Module) -> bool:
    return any(
        kind.__name__ == "Linear4bit" and kind.__module__.startswith("bitsandbytes.")
        for kind in type(module).__mro__
    )


def _is_packed(module: nn.Module) -> bool:
    state = getattr(module.weight, "quant_state", None)
    return bool(getattr(state, "packing_format_for_cpu", False))
