"""Put stored weights into a model: every parameter gets one tensor of its own, or the checkpoint is refused."""

import re
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from byline.errors import InvalidTask
from byline.models.weight_files import ADAPTER_ARGUMENT
from byline.models.weight_names import WRAPPERS, own_names

_RECOMPUTED = re.compile(
    r"(^|\.)(position_ids|token_type_ids|masked_bias|inv_freq|original_inv_freq|num_batches_tracked)$"
)
"""Buffers that some releases store and others compute."""
_QUANTIZED = re.compile(r"\.(absmax|nested_absmax|quant_map|SCB|qweight|qzeros)$|\.quant_state\.")
"""Tensors that quantized files hold beside the integers."""
_IN_MEMORY = (
    "load the model with from_pretrained as in training, and pass it, or the PeftModel around it, in memory"
)


def put_weights(
    model: nn.Module, weights: Mapping[str, Tensor], *, apart: Collection[str] = frozenset()
) -> None:
    """Put weights into a model, without wrappers from when they were saved, and with names of any release.

    Tied weights may be stored once, under either name. Numbers are converted to the model's own precision. Buffers
    that a model computes by itself may be missing, or be left over from an older release.

    Args:
        model: Changed in place.
        weights: A state dict.
        apart: Names of parameters that are stored elsewhere: an adapter's.

    Raises:
        InvalidTask: A parameter is missing, a tensor is unknown, a shape differs, or numbers are not those of a
            trained model.
    """
    own = [name for name in model.state_dict(keep_vars=True) if name not in apart]
    names = own_names(weights, own)
    fitted = {own: weights[stored] for stored, own in names.items()}
    unknown = _unknown(model, [name for name in weights if name not in names])
    missing = _missing(model, fitted, apart)
    if (unknown or missing) and _is_pretrained(model):
        fitted, unknown = _as_from_pretrained(model, weights, apart) or (fitted, unknown)
        missing = _missing(model, fitted, apart)
    if missing or unknown:
        raise InvalidTask(_misfit(model, weights, missing, unknown))
    _refuse_other_numbers(model, fitted)
    _refuse_untied(model, fitted)
    try:
        model.load_state_dict(fitted, strict=False)
    except RuntimeError as error:
        raise InvalidTask(
            f"the checkpoint's shapes are not the model's: {str(error).splitlines()[-1].strip()}"
        ) from error
    _refuse_overflow(model, fitted)


def _missing(model: nn.Module, fitted: Mapping[str, Tensor], apart: Collection[str]) -> list[str]:
    """List names that must be stored and are missing: parameters, and buffers that training changes."""
    own = model.state_dict(keep_vars=True)
    stored = {id(own[name]) for name in fitted if name in own}
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    missing = []
    for name, tensor in own.items():
        if not isinstance(tensor, Tensor) or id(tensor) in stored or name in apart:
            continue
        constant = name not in parameters and not tensor.is_floating_point()
        replaced = "original_module" in name.split(".")  # peft computes with the copy that was trained
        if not constant and not replaced and not _RECOMPUTED.search(name):
            missing.append(name)
    return missing


def _unknown(model: nn.Module, names: list[str]) -> list[str]:
    """List stored names without a place, except buffers that left the state dict."""
    buffers = {name for name, _ in model.named_buffers()}
    ignored = [
        re.compile(pattern) for pattern in getattr(model, "_keys_to_ignore_on_load_unexpected", None) or ()
    ]
    return [
        name
        for name in names
        if _unwrapped(name) not in buffers
        and not _RECOMPUTED.search(name)
        and not any(pattern.search(name) for pattern in ignored)
    ]


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _misfit(model: nn.Module, weights: Mapping[str, Tensor], missing: list[str], unknown: list[str]) -> str:
    parameters = len(dict(model.named_parameters(remove_duplicate=False)))
    first = f"the first missing '{missing[0]}'" if missing else f"the first unknown '{unknown[0]}'"
    buffer = missing and missing[0] in dict(model.named_buffers())
    if buffer:
        advice = "register the buffer with persistent=False if the model computes it by itself"
    elif getattr(getattr(model, "config", None), "quantization_config", None) or any(
        _QUANTIZED.search(name) for name in weights
    ):
        advice = f"they are quantized: {_IN_MEMORY}"
    elif any(".lora_" in name for name in weights):
        advice = f"they are an adapter's: pass its folder as {ADAPTER_ARGUMENT}"
    else:
        advice = "build the model as it was trained, and pass the state dict of that model alone"
    return (
        f"expected a checkpoint with the model's {parameters} parameters, got {len(weights)} tensors: "
        f"{len(missing)} missing, {len(unknown)} unknown, {first}: {advice}"
    )


def _refuse_other_numbers(model: nn.Module, fitted: Mapping[str, Tensor]) -> None:
    """Require that parameters are stored as numbers of their own kind. Integers are what quantized files hold."""
    for name, parameter in model.named_parameters(remove_duplicate=False):
        tensor = fitted.get(name)
        if tensor is None:
            continue
        same = tensor.is_floating_point() == parameter.is_floating_point()
        if not same or tensor.is_complex() != parameter.is_complex():
            raise InvalidTask(
                f"expected '{name}' to be stored as {str(parameter.dtype).removeprefix('torch.')} or another precision "
                f"of it, got {str(tensor.dtype).removeprefix('torch.')}: pass the weights before they were quantized, or "
                f"{_IN_MEMORY}"
            )


def _refuse_untied(model: nn.Module, fitted: Mapping[str, Tensor]) -> None:
    """Require that one parameter is not stored with two values: the model that was trained had two."""
    first: dict[int, str] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if name not in fitted:
            continue
        other = first.setdefault(id(parameter), name)
        if other != name and not torch.equal(fitted[other], fitted[name]):
            raise InvalidTask(
                f"the model shares one parameter as '{other}' and '{name}', and the checkpoint stores two different "
                f"tensors: build the model without the tie, as it was trained"
            )


def _refuse_overflow(model: nn.Module, fitted: Mapping[str, Tensor]) -> None:
    """Require that the weights are numbers, and stayed so in the model's precision."""
    for name, parameter in model.named_parameters():
        if name not in fitted or bool(parameter.isfinite().all()):
            continue
        if bool(fitted[name].isnan().any()):
            raise InvalidTask(
                f"expected weights that are numbers, got NaN in '{name}': take an earlier checkpoint"
            )
        if bool(fitted[name].isfinite().all()):
            raise InvalidTask(
                f"expected weights that {parameter.dtype} can hold, got larger ones in '{name}': build the model in float32"
            )


def _is_pretrained(model: nn.Module) -> bool:
    library = sys.modules.get("transformers")  # not imported: then the model is none of its own
    return library is not None and isinstance(model, library.PreTrainedModel)


def _as_from_pretrained(
    model: Any, weights: Mapping[str, Tensor], apart: Collection[str]
) -> tuple[dict[str, Tensor], list[str]] | None:
    """Have `from_pretrained` convert the weights: experts that are stored one by one, heads, names of old releases.

    Returns:
        The tensors by the model's names, and the stored names that have no place. None where it understands nothing.
    """
    if any(name.endswith("weight") and not tensor.is_floating_point() for name, tensor in weights.items()):
        return None  # quantized, which it would take for numbers
    stored = {_unwrapped(name): tensor for name, tensor in weights.items()}
    best: tuple[dict[str, Tensor], list[str]] | None = None
    while stored:
        found = _converted(model, stored, apart)
        if found is not None and not _missing(model, found[0], apart):
            return found
        if found is not None and (best is None or len(found[0]) > len(best[0])):
            best = found
        first = {name.partition(".")[0] for name in stored}
        if len(first) > 1 or "" in (inner := {name.partition(".")[2]: t for name, t in stored.items()}):
            break
        stored = inner  # below the one attribute that a training loop kept the model in
    return best if best is not None and best[0] else None


def _converted(
    model: Any, stored: Mapping[str, Tensor], apart: Collection[str]
) -> tuple[dict[str, Tensor], list[str]] | None:
    options = {"dtype": model.dtype, "attn_implementation": model.config._attn_implementation}
    # `from_pretrained` draws the weights of missing layers: the caller's generator stays as it was.
    with _quietly(), torch.random.fork_rng(devices=[]):
        try:
            made, info = type(model).from_pretrained(
                None, config=model.config, state_dict=dict(stored), output_loading_info=True, **options
            )
        except (
            Exception
        ):  # a class of the user's own, or shapes that differ: said by name, as of any other model
            return None
    left_out = {*info["missing_keys"], *(key[0] for key in info["mismatched_keys"])}
    plain = {name: tensor for name, tensor in made.state_dict().items() if name not in left_out}
    names = own_names(plain, [name for name in model.state_dict(keep_vars=True) if name not in apart])
    fitted = {own: plain[name] for name, own in names.items()}
    unknown = [name for name in sorted(info["unexpected_keys"]) if not _is_other_head(model, name, stored)]
    return fitted, unknown


def _is_other_head(model: Any, name: str, stored: Mapping[str, Tensor]) -> bool:
    """Tell whether a stored tensor belongs to a head that this model lacks. Its base model computes the same."""
    base, first = f"{model.base_model_prefix}.", name.partition(".")[0]
    if any(part == "pooler" for part in name.split(".")):
        return not any("pooler" in own.split(".") for own in model.state_dict())
    has_base = any(each.startswith(base) for each in stored)
    return has_base and not name.startswith(base) and not hasattr(model, first)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without `from_pretrained`'s progress bar and its report, which Byline's own error replaces."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
