"""Families of models as transformers and peft make them: tiny, from configurations, with nothing downloaded."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import peft
import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from tests.byline.gradients.cases import Expected, ModelCase
from tests.byline.gradients.exactness import Subject

VOCABULARY, CLASSES = 29, 3
LENGTHS = (4, 6, 3, 6, 5)
"""As many items as there are lengths, with padding behind the short ones."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """How to build one kind of model, and how it is asked."""

    model: Callable[[], nn.Module]
    loss: Callable[[nn.Module, Any], Tensor]
    items: Callable[[], list[Any]]
    collate: Callable[[list[Any]], Any]


SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 16,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GROUPED = {**SIZES, "num_key_value_heads": 1, "head_dim": 4}


def cases() -> list[ModelCase]:
    """Every family, and every way to adapt one."""
    return [*_cases(families()), *_cases(adapted())]


def _cases(some: dict[tuple[str, str], Family]) -> list[ModelCase]:
    return [case(kind, form, family) for (kind, form), family in some.items()]


def case(kind: str, form: str, family: Family, expected: Expected = "exact") -> ModelCase:
    """One family as a case."""

    def subject() -> Subject:
        torch.manual_seed(1)
        return Subject(
            make=family.model,
            loss=family.loss,
            items=family.items(),
            collate=family.collate,
            in_double=loops_over_experts,
        )

    return ModelCase(kind=kind, form=form, subject=subject, expected=expected)


def built(kind: str, config: str, **sizes: Any) -> Callable[[], nn.Module]:
    """A model of a class, from a configuration of a class, both by name; weights far from their small start."""

    def make() -> nn.Module:
        settings = getattr(transformers, config)(**sizes)
        settings._attn_implementation = "eager"
        return spread(getattr(transformers, kind)(settings))

    return make


def loops_over_experts(model: nn.Module) -> None:
    """Grouped matrix products have no kernel in double precision."""
    for module in model.modules():
        if isinstance(module, transformers.PreTrainedModel):
            module.set_experts_implementation("eager")


def spread(model: nn.Module) -> nn.Module:
    """Give every parameter noise of its own: nothing is at a zero that would hide it."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data.add_(0.2 * torch.randn_like(parameter))
    return model


def texts() -> list[Tensor]:
    return [torch.randint(3, VOCABULARY, (length,)) for length in LENGTHS]


def labeled_texts() -> list[tuple[Tensor, Tensor]]:
    return [(text, torch.tensor(n % CLASSES)) for n, text in enumerate(texts())]


def images() -> list[tuple[Tensor, Tensor]]:
    return [(torch.randn(3, 16, 16), torch.tensor(n % CLASSES)) for n in range(5)]


def padded(chosen: list[Tensor]) -> dict[str, Tensor]:
    tokens = pad_sequence(chosen, batch_first=True)
    mask = pad_sequence([torch.ones_like(text) for text in chosen], batch_first=True)
    return {"input_ids": tokens, "attention_mask": mask}


def padded_and_labels(chosen: list[tuple[Tensor, Tensor]]) -> tuple[dict[str, Tensor], Tensor]:
    return padded([text for text, _ in chosen]), torch.stack([label for _, label in chosen])


def stacked(chosen: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    return torch.stack([x for x, _ in chosen]), torch.stack([y for _, y in chosen])


def next_token(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    logits = model(**batch, use_cache=False).logits[:, -batch["input_ids"].shape[1] :]  # prompts come before
    return masked_mean(logits[:, :-1], batch["input_ids"][:, 1:], batch["attention_mask"][:, 1:])


def same_token(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return masked_mean(model(**batch).logits, batch["input_ids"], batch["attention_mask"])


def translated(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    starts = batch["input_ids"].roll(1, 1).index_fill(1, torch.tensor([0]), 1)
    logits = model(**batch, decoder_input_ids=starts, use_cache=False).logits
    return masked_mean(logits, batch["input_ids"], batch["attention_mask"])


def masked_mean(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """Mean loss of an example's own tokens."""
    losses = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
    return (losses * mask).sum(1) / mask.sum(1)


def classified(model: nn.Module, batch: tuple[Any, Tensor]) -> Tensor:
    inputs, labels = batch
    output = model(**inputs) if isinstance(inputs, dict) else model(inputs)
    return F.cross_entropy(output.logits, labels, reduction="none")


def causal(model: Callable[[], nn.Module]) -> Family:
    return Family(model=model, loss=next_token, items=texts, collate=padded)


def masked(model: Callable[[], nn.Module]) -> Family:
    return Family(model=model, loss=same_token, items=texts, collate=padded)


def sequence(model: Callable[[], nn.Module]) -> Family:
    return Family(model=model, loss=classified, items=labeled_texts, collate=padded_and_labels)


def encoder_decoder(model: Callable[[], nn.Module]) -> Family:
    return Family(model=model, loss=translated, items=texts, collate=padded)


def image(model: Callable[[], nn.Module]) -> Family:
    return Family(model=model, loss=classified, items=images, collate=stacked)


def families() -> dict[tuple[str, str], Family]:
    """(family, form) -> how it is built and asked."""
    return {**_causal(), **_encoders(), **_encoder_decoders(), **_images(), **_mixed()}


def gpt2(**more: Any) -> Callable[[], nn.Module]:
    sizes = {
        "n_embd": 8,
        "n_layer": 1,
        "n_head": 2,
        "n_positions": 16,
        "vocab_size": VOCABULARY,
        "pad_token_id": 0,
    }
    return built("GPT2LMHeadModel", "GPT2Config", **{**sizes, "bos_token_id": 1, "eos_token_id": 2, **more})


def llama(**more: Any) -> Callable[[], nn.Module]:
    return built("LlamaForCausalLM", "LlamaConfig", **{**GROUPED, **more})


def bert_classifier() -> nn.Module:
    return built("BertForSequenceClassification", "BertConfig", **SIZES, num_labels=CLASSES)()


def _causal() -> dict[tuple[str, str], Family]:
    routed = {
        "moe_intermediate_size": 8,
        "num_experts": 3,
        "num_experts_per_tok": 2,
        "decoder_sparse_step": 1,
    }
    mamba = {
        "vocab_size": VOCABULARY,
        "hidden_size": 8,
        "state_size": 3,
        "num_hidden_layers": 1,
        "pad_token_id": 0,
    }
    return {
        ("GPT-2", "tied head"): causal(gpt2()),
        ("GPT-2", "two layers, bfloat16"): causal(lambda: gpt2(n_layer=2)().bfloat16()),
        ("Llama", "grouped queries"): causal(llama()),
        ("Llama", "tied head, biases"): causal(llama(tie_word_embeddings=True, attention_bias=True)),
        ("Llama", "bfloat16"): causal(lambda: llama()().bfloat16()),
        ("Gemma", "scaled embedding, tied"): causal(built("GemmaForCausalLM", "GemmaConfig", **GROUPED)),
        ("Gemma 3", "tied"): causal(built("Gemma3ForCausalLM", "Gemma3TextConfig", **GROUPED)),
        ("Mistral", "sliding window"): causal(
            built("MistralForCausalLM", "MistralConfig", **GROUPED, sliding_window=3)
        ),
        ("Mixtral", "three experts, two a token"): causal(
            built("MixtralForCausalLM", "MixtralConfig", **GROUPED, num_local_experts=3)
        ),
        ("Qwen2-MoE", "shared expert"): causal(
            built(
                "Qwen2MoeForCausalLM",
                "Qwen2MoeConfig",
                **GROUPED,
                **routed,
                shared_expert_intermediate_size=8,
            )
        ),
        ("Mamba", "padding behind"): causal(built("MambaForCausalLM", "MambaConfig", **mamba)),
    }


def _encoders() -> dict[tuple[str, str], Family]:
    labels = {**SIZES, "num_labels": CLASSES}
    distil = {
        "dim": 8,
        "hidden_dim": 12,
        "n_layers": 1,
        "n_heads": 2,
        "num_labels": CLASSES,
        "pad_token_id": 0,
    }
    xlnet = {
        "summary_type": "first",
        "d_model": 8,
        "n_layer": 1,
        "n_head": 2,
        "d_inner": 12,
        "num_labels": CLASSES,
        "pad_token_id": 0,
    }
    relative = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "max_relative_positions": 8}
    albert = {**labels, "embedding_size": 6, "num_hidden_layers": 2}
    return {
        ("BERT", "masked head, tied bias"): masked(built("BertForMaskedLM", "BertConfig", **SIZES)),
        ("BERT", "classifier"): sequence(bert_classifier),
        ("RoBERTa", "masked head"): masked(built("RobertaForMaskedLM", "RobertaConfig", **SIZES)),
        ("DistilBERT", "classifier"): sequence(
            built(
                "DistilBertForSequenceClassification",
                "DistilBertConfig",
                vocab_size=VOCABULARY,
                max_position_embeddings=16,
                **distil,
            )
        ),
        ("ALBERT", "one layer called twice"): sequence(
            built("AlbertForSequenceClassification", "AlbertConfig", **albert)
        ),
        ("MPNet", "relative bias"): sequence(
            built("MPNetForSequenceClassification", "MPNetConfig", **labels)
        ),
        ("DeBERTa-v2", "disentangled attention"): sequence(
            built("DebertaV2ForSequenceClassification", "DebertaV2Config", **labels, **relative)
        ),
        ("XLNet", "relative positions"): sequence(
            built("XLNetForSequenceClassification", "XLNetConfig", vocab_size=VOCABULARY, **xlnet)
        ),
    }


def _encoder_decoders() -> dict[tuple[str, str], Family]:
    t5 = {"vocab_size": VOCABULARY, "d_model": 8, "d_kv": 4, "d_ff": 12, "num_layers": 2, "num_heads": 2}
    t5 = {**t5, "pad_token_id": 0, "decoder_start_token_id": 0, "relative_attention_num_buckets": 6}
    bart = {
        "vocab_size": VOCABULARY,
        "d_model": 8,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "pad_token_id": 0,
    }
    bart = {**bart, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 16}
    bart = {**bart, "encoder_ffn_dim": 12, "decoder_ffn_dim": 12, "bos_token_id": 1, "eos_token_id": 2}
    return {
        ("T5", "relative bias, tied head"): encoder_decoder(
            built("T5ForConditionalGeneration", "T5Config", **t5)
        ),
        ("T5", "gated"): encoder_decoder(
            built(
                "T5ForConditionalGeneration",
                "T5Config",
                **t5,
                feed_forward_proj="gated-gelu",
                tie_word_embeddings=False,
            )
        ),
        ("BART", "tied head"): encoder_decoder(built("BartForConditionalGeneration", "BartConfig", **bart)),
    }


def _images() -> dict[tuple[str, str], Family]:
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


def _mixed() -> dict[tuple[str, str], Family]:
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


ATTENTION = ["q_proj", "v_proj"]


def adapted() -> dict[tuple[str, str], Family]:
    """(adapter, form) -> a model with the adapter on it: the base is frozen."""
    layers = {"target_modules": ATTENTION}
    everywhere = {"target_modules": ["k_proj", "v_proj", "down_proj"], "feedforward_modules": ["down_proj"]}
    found = {
        ("LoRA (peft)", "linear layers"): peft.LoraConfig(r=2, **layers),
        ("LoRA (peft)", "two layers, a bias"): peft.LoraConfig(r=2, **layers, bias="lora_only"),
        ("LoRA (peft)", "embedding and head"): peft.LoraConfig(
            r=2, target_modules=["embed_tokens", "q_proj"]
        ),
        ("LoRA (peft)", "the head trained whole"): peft.LoraConfig(
            r=2, **layers, modules_to_save=["lm_head"]
        ),
        ("DoRA (peft)", "linear layers"): peft.LoraConfig(r=2, **layers, use_dora=True),
        ("IA3 (peft)", "keys, values, feed-forward"): peft.IA3Config(**everywhere),
        ("VeRA (peft)", "linear layers"): peft.VeraConfig(
            r=2, target_modules=["q_proj"], save_projection=True
        ),
        ("AdaLoRA (peft)", "linear layers"): peft.AdaLoraConfig(
            init_r=3, target_r=2, total_step=10, **layers
        ),
        ("LoHa (peft)", "linear layers"): peft.LoHaConfig(r=2, **layers),
        ("LoKr (peft)", "linear layers"): peft.LoKrConfig(r=2, **layers),
        ("Prompt tuning (peft)", "virtual tokens"): peft.PromptTuningConfig(
            num_virtual_tokens=2, task_type="CAUSAL_LM"
        ),
    }
    families = {name: causal(_with_adapter(config)) for name, config in found.items()}
    images_too = peft.LoraConfig(r=2, target_modules=["convolution"], modules_to_save=["classifier"])
    resnet = _images()["ResNet", "running BatchNorm"]
    families["LoRA (peft)", "convolutions"] = image(_adapt(resnet.model, images_too))
    transposed = peft.LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True)
    families["LoRA (peft)", "GPT-2's Conv1D"] = causal(_adapt(gpt2(), transposed))
    return families


def _with_adapter(config: Any) -> Callable[[], nn.Module]:
    layers = 2 if getattr(config, "bias", "none") != "none" else 1
    return _adapt(llama(num_hidden_layers=layers, attention_bias=True), config)


def _adapt(base: Callable[[], nn.Module], config: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        model = peft.get_peft_model(base(), config)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data.add_(0.3 * torch.randn_like(parameter))
        return model

    return make
