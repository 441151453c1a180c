"""Data and loss for a class of models, by the task that transformers lists it under."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.auto import modeling_auto

from tests.byline.gradients.families import base as families
from tests.byline.gradients.families.base import Family

COUNT, CLASSES = 5, 3


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to ask models of a task."""

    mapping: str
    """Name of transformers' table of classes."""
    family: Callable[[Callable[[], nn.Module], Any], Family]
    """Makes the data and the loss of a model with a configuration."""


def _speech(make: Callable[[], nn.Module], config: Any) -> Family:
    features = getattr(config, "num_mel_bins", None) or getattr(config, "input_feat_per_channel", 16)
    frames = 2 * getattr(config, "max_source_positions", 16)

    def items() -> list[tuple[Tensor, Tensor]]:
        return [
            (torch.randn(features, frames), torch.randint(3, families.VOCABULARY, (5,))) for _ in range(COUNT)
        ]

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        logits = model(input_features=batch[0], decoder_input_ids=batch[1][:, :-1], use_cache=False).logits
        return F.cross_entropy(logits.transpose(1, 2), batch[1][:, 1:], reduction="none").mean(1)

    return Family(model=make, loss=loss, items=items, collate=families.stacked)


def _sound(make: Callable[[], nn.Module], config: Any) -> Family:
    del config

    def items() -> list[tuple[Tensor, Tensor]]:
        return [(torch.randn(2000), torch.tensor(n % CLASSES)) for n in range(COUNT)]

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return F.cross_entropy(model(input_values=batch[0]).logits, batch[1], reduction="none")

    return Family(model=make, loss=loss, items=items, collate=families.stacked)


def _image(make: Callable[[], nn.Module], config: Any) -> Family:
    size = getattr(config, "image_size", None) or 32
    size = size[0] if isinstance(size, list | tuple) else size

    def items() -> list[tuple[Tensor, Tensor]]:
        return [(torch.randn(3, size, size), torch.tensor(n % CLASSES)) for n in range(COUNT)]

    return Family(model=make, loss=families.classified, items=items, collate=families.stacked)


def _video(make: Callable[[], nn.Module], config: Any) -> Family:
    frames, size = getattr(config, "num_frames", 8), getattr(config, "image_size", 32)

    def items() -> list[tuple[Tensor, Tensor]]:
        return [(torch.randn(frames, 3, size, size), torch.tensor(n % CLASSES)) for n in range(COUNT)]

    return Family(model=make, loss=families.classified, items=items, collate=families.stacked)


def _pair(make: Callable[[], nn.Module], config: Any) -> Family:
    size = getattr(config.vision_config, "image_size", 32)

    def items() -> list[tuple[Tensor, Tensor]]:
        return [
            (torch.randn(3, size, size), torch.randint(3, families.VOCABULARY, (5,))) for _ in range(COUNT)
        ]

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return -model(pixel_values=batch[0], input_ids=batch[1]).logits_per_image.diagonal()

    return Family(model=make, loss=loss, items=items, collate=families.stacked)


def _text(
    of: Callable[[Callable[[], nn.Module]], Family],
) -> Callable[[Callable[[], nn.Module], Any], Family]:
    return lambda make, _config: of(make)


WAYS = {
    "causal language model": Way(mapping="MODEL_FOR_CAUSAL_LM_MAPPING", family=_text(families.causal)),
    "masked language model": Way(mapping="MODEL_FOR_MASKED_LM_MAPPING", family=_text(families.masked)),
    "encoder and decoder": Way(
        mapping="MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING", family=_text(families.encoder_decoder)
    ),
    "text classifier": Way(
        mapping="MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING", family=_text(families.sequence)
    ),
    "multimodal, asked with text": Way(
        mapping="MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING", family=_text(families.causal)
    ),
    "image classifier": Way(mapping="MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING", family=_image),
    "video classifier": Way(mapping="MODEL_FOR_VIDEO_CLASSIFICATION_MAPPING", family=_video),
    "image and text": Way(mapping="MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING", family=_pair),
    "speech to text": Way(mapping="MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING", family=_speech),
    "sound classifier": Way(mapping="MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING", family=_sound),
}


def model_types(way: str) -> list[str]:
    """The types of models that transformers has a class of for a task."""
    names = getattr(modeling_auto, WAYS[way].mapping + "_NAMES")
    return sorted(name for name in names if name in transformers.CONFIG_MAPPING)


def model_class(way: str, config: Any) -> Any:
    """The class of a configuration for a task."""
    found = getattr(modeling_auto, WAYS[way].mapping)[type(config)]
    return found[0] if isinstance(found, tuple) else found
