"""Hugging Face models in memory: what a notebook or a training script holds."""

import copy
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, Field
from torch import Tensor, nn

from byline.declarations import kind
from byline.errors import InvalidTask
from byline.task import Checkpoint
from byline.tasks.heads import Head, require_causal
from byline.tasks.pretrained import LocalModel, TextOptions
from byline.tasks.tokenizer import Tokens


def _unwrapped(model: Any) -> nn.Module:
    """Take off what `torch.compile` and data-parallel training put around a model: compiled passes cannot be recorded."""
    if hasattr(model, "_orig_mod"):
        return _unwrapped(model._orig_mod)
    parallel = isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel)
    inner: nn.Module = model.module if parallel else model
    return _unwrapped(inner) if parallel else inner


class LoadedModel(TextOptions):
    """A model with its trained weights, and its tokenizer. Both are copied."""

    model: Annotated[nn.Module, AfterValidator(_unwrapped)] = Field(repr=False)
    """A causal language model of transformers, or a `PeftModel` of one. An adapter's parameters are attributed alone."""
    tokenizer: Any = Field(repr=False)
    """Its tokenizer, a fast one."""

    def config(self) -> Any:
        """Return the model's configuration.

        Raises:
            InvalidTask: It has none, or one of another kind of model.
        """
        config = getattr(self.model, "config", None)
        if config is None or getattr(config, "is_encoder_decoder", False):
            raise InvalidTask(
                f"expected a causal language model of transformers, got {kind(self.model)}: declare other models with "
                f"byline.tasks.from_model"
            )
        require_causal(type(_inner(self.model)).__name__)
        return config

    def embedding(self, _config: Any) -> int | None:
        """Tell how many token ids the model's embedding has rows of. None is not known."""
        inner: Any = _inner(self.model)
        weight = getattr(inner.get_input_embeddings(), "weight", None)
        return len(weight) if isinstance(weight, Tensor) and weight.ndim == 2 else None

    def weights(self) -> list[Checkpoint]:
        """Copy the weights.

        Raises:
            InvalidTask: One is not in memory.
        """
        stored: dict[str, Tensor] = _inner(self.model).state_dict()
        absent = next((name for name, tensor in stored.items() if tensor.is_meta), None)
        if absent is not None:
            raise InvalidTask(
                f"expected a model with all of its weights in memory, got '{absent}' on the device meta: load it without "
                f"device_map, or pass its folder"
            )
        weights = {name: tensor.detach().to("cpu", copy=True) for name, tensor in stored.items()}
        return [Checkpoint(weights=weights)]

    def factory(self, _config: Any, _head: Head) -> Callable[[], nn.Module]:
        """Make `Task.model`: the same modules in evaluation mode and in float32, whose weights are still to be loaded."""
        skeleton = self._skeleton
        return lambda: _with_parameters(skeleton, "cpu").eval()

    def tokens(self) -> Tokens:
        """Copy the tokenizer.

        Raises:
            InvalidTask: It is not a fast one.
        """
        return Tokens(self.tokenizer, start_token=self.start_token)

    @cached_property
    def _skeleton(self) -> nn.Module:
        """The modules without their parameters' numbers, which the checkpoint has."""
        whole: Any = _with_parameters(self.model, "meta")
        if _is_peft(self.model) and not any(parameter.requires_grad for parameter in whole.parameters()):
            whole.set_adapter(whole.active_adapter)  # it was loaded for inference
        skeleton: Any = _inner(whole)
        for module in skeleton.modules():
            for name, buffer in module.named_buffers(recurse=False):
                own = torch.float32 if buffer.is_floating_point() else buffer.dtype
                module._buffers[name] = buffer.detach().to("cpu", own)
        if hasattr(skeleton, "set_attn_implementation"):
            skeleton.set_attn_implementation("eager")
        made: nn.Module = skeleton.eval()
        return made


def language_model(
    model: LocalModel | LoadedModel | nn.Module | Path | str, tokenizer: Any = None
) -> LocalModel | LoadedModel:
    """Take a language model in any of the forms that people have.

    Args:
        model: In memory, a folder, or either with options.
        tokenizer: Of a model in memory. None for a folder, which holds it.

    Raises:
        InvalidTask: It is none of these, or a model in memory has no tokenizer.
    """
    if isinstance(model, nn.Module):
        if tokenizer is None:
            raise InvalidTask(
                "expected tokenizer=... beside a model in memory, got none: pass the model's tokenizer"
            )
        return LoadedModel(model=model, tokenizer=tokenizer)
    if tokenizer is not None:
        raise InvalidTask(
            "expected tokenizer only beside a model in memory, since a folder holds its own: leave it out"
        )
    if isinstance(model, str | Path):
        return LocalModel(folder=Path(model))
    if not isinstance(model, LocalModel | LoadedModel):
        raise InvalidTask(
            f"expected a language model in memory, the path of a folder, or a LocalModel, got {kind(model)}"
        )
    return model


def _with_parameters(model: nn.Module, device: str) -> nn.Module:
    """Copy a model's modules, with parameters of the same shapes in float32 and without numbers of their own."""
    memo: dict[int, Any] = {
        id(parameter): nn.Parameter(
            torch.empty(parameter.shape, dtype=torch.float32, device=device),
            requires_grad=parameter.requires_grad,
        )
        for parameter in model.parameters()
        if parameter.is_floating_point()
    }
    return copy.deepcopy(model, memo)


def _is_peft(model: nn.Module) -> bool:
    return hasattr(model, "peft_config") and hasattr(model, "base_model") and hasattr(model, "active_adapter")


def _inner(model: Any) -> nn.Module:
    """Take peft's wrapper off, where the adapter lies inside of the model."""
    tuner = model.base_model if _is_peft(model) else None
    inner: nn.Module = tuner.model if tuner is not None and hasattr(tuner, "targeted_module_names") else model
    return inner
