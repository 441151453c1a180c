"""How a family of models is built and asked: sizes, data and losses that families share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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


def case(kind: str, form: str, family: Family, expected: Expected = "exact") -> ModelCase:
    """One family as a case."""

    def subject() -> Subject:
        torch.manual_seed(1)
        return Subject(
            make=family.model,
            loss=family.loss,
            items=family.items(),
            collate=family.collate,
            in_double=in_double,
        )

    return ModelCase(kind=kind, form=form, subject=subject, expected=expected)


def built(kind: str, config: str, *, attention: str = "eager", **sizes: Any) -> Callable[[], nn.Module]:
    """A model of a class, from a configuration of a class, both by name; weights far from their small start."""

    def make() -> nn.Module:
        settings = getattr(transformers, config)(**sizes)
        settings._attn_implementation = attention
        return spread(getattr(transformers, kind)(settings))

    return make


def in_double(model: nn.Module) -> None:
    """Prepare a model for double precision: neither grouped products nor 4-bit layers know it."""
    from tests.byline.gradients.families.four_bit import dequantized

    loops_over_experts(model)
    dequantized(model)


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


def spread_trained(model: nn.Module) -> nn.Module:
    """Give every parameter that is trained noise of its own: adapters begin at zero."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.add_(0.3 * torch.randn_like(parameter))
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
