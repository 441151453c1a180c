"""Models of images and of speech."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.byline.gradients.families.base import CLASSES, VOCABULARY, Family, built, image, stacked


def image_models() -> dict[tuple[str, str], Family]:
    vit = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
    swin = {"embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4, "patch_size": 2}
    resnet = {"embedding_size": 4, "hidden_sizes": [4, 8], "depths": [1, 1], "layer_type": "basic"}
    convnext = {"hidden_sizes": [4, 8], "depths": [1, 1], "num_stages": 2, "patch_size": 2}
    names = {"num_labels": CLASSES}
    return {
        ("ViT", "class token"): image(
            built("ViTForImageClassification", "ViTConfig", **vit, **names, image_size=16, patch_size=8)
        ),
        ("Swin", "shifted windows"): image(
            built("SwinForImageClassification", "SwinConfig", **swin, **names, image_size=16)
        ),
        ("ConvNeXt", "layer scale"): image(
            built("ConvNextForImageClassification", "ConvNextConfig", **convnext, **names)
        ),
        ("ResNet", "running BatchNorm"): image(
            built("ResNetForImageClassification", "ResNetConfig", **resnet, **names)
        ),
    }


def paired_models() -> dict[tuple[str, str], Family]:
    text = {"vocab_size": VOCABULARY, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1}
    text = {
        **text,
        "num_attention_heads": 2,
        "max_position_embeddings": 16,
        "projection_dim": 6,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    vision = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {**vision, "image_size": 16, "patch_size": 8, "projection_dim": 6}
    whisper = {
        "vocab_size": VOCABULARY,
        "num_mel_bins": 4,
        "d_model": 8,
        "encoder_layers": 1,
        "decoder_layers": 1,
    }
    whisper = {**whisper, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 12}
    whisper = {**whisper, "decoder_ffn_dim": 12, "max_source_positions": 5, "max_target_positions": 16}
    whisper = {
        **whisper,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 1,
    }

    def pairs() -> list[tuple[Tensor, Tensor]]:
        return [(torch.randn(3, 16, 16), torch.randint(3, VOCABULARY, (5,))) for _ in range(5)]

    def spoken() -> list[tuple[Tensor, Tensor]]:
        return [(torch.randn(4, 10), torch.randint(3, VOCABULARY, (5,))) for _ in range(5)]

    def matched(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        found = model(pixel_values=batch[0], input_ids=batch[1])
        return -found.logits_per_image.diagonal()

    def written(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        logits = model(input_features=batch[0], decoder_input_ids=batch[1][:, :-1], use_cache=False).logits
        return F.cross_entropy(logits.transpose(1, 2), batch[1][:, 1:], reduction="none").mean(1)

    clip = built("CLIPModel", "CLIPConfig", text_config=text, vision_config=vision, projection_dim=6)
    speech = built("WhisperForConditionalGeneration", "WhisperConfig", **whisper)
    return {
        ("CLIP", "an image and its text"): Family(model=clip, loss=matched, items=pairs, collate=stacked),
        ("Whisper", "a recording and its text"): Family(
            model=speech, loss=written, items=spoken, collate=stacked
        ),
    }
