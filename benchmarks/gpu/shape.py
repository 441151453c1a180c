"""A Llama of SmolLM2-135M's shape with drawn weights, for machines that nothing can be fetched to."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from byline.api.example import Example
from byline.task import Checkpoint, Task
from byline.tasks.token_objectives import TOKEN_OUTPUTS, collate_causal, mean_token_loss


@dataclass(frozen=True)
class Shape:
    """Sizes of a Llama and of its training set."""

    layers: int = 30
    width: int = 576
    inner: int = 1536
    heads: int = 9
    key_heads: int = 3
    vocabulary: int = 49_152
    texts: int = 512
    tokens: int = 256
    """Of the longest text. The shortest has a quarter."""


SMALL = Shape(layers=2, width=48, inner=96, heads=3, key_heads=1, vocabulary=512, texts=24, tokens=32)
"""Seconds of work on a CPU."""


def drawn_task(shape: Shape) -> Task:
    """Declare a Task of drawn weights in bf16 and of drawn texts: the same on every machine.

    Args:
        shape: Sizes.

    Returns:
        The Task. Its training set has the evaluation set's texts too.
    """
    model = _model(shape)
    weights = {
        name: tensor.to(torch.bfloat16) if tensor.is_floating_point() else tensor
        for name, tensor in model.state_dict().items()
    }
    texts = _texts(shape)
    return Task(
        name="drawn-llama",
        model=partial(_model, shape),
        checkpoints=[Checkpoint(weights=weights)],
        train_set=texts,
        describe=lambda row: Example(id=str(row)),
        collate=partial(collate_causal, pad_token=0),
        loss=mean_token_loss,
        outputs=TOKEN_OUTPUTS,
        evaluation_set=texts[:8],
    )


def _model(shape: Shape) -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        intermediate_size=shape.inner,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_heads,
        vocab_size=shape.vocabulary,
        max_position_embeddings=shape.tokens,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: Any = LlamaForCausalLM(config)
    return model.eval()  # type: ignore[no-any-return]  # transformers is untyped


def _texts(shape: Shape) -> list[dict[str, Tensor]]:
    """Draw tokens with the frequencies of words (Zipf's law): the n-th token is 1/n as frequent as the first."""
    generator = torch.Generator().manual_seed(0)
    weights_V = 1 / torch.arange(1, shape.vocabulary + 1, dtype=torch.float64)
    lengths = torch.randint(shape.tokens // 4, shape.tokens + 1, (shape.texts,), generator=generator)
    texts = []
    for length in lengths.tolist():
        ids = torch.multinomial(weights_V, length, replacement=True, generator=generator)
        texts.append({"input_ids": ids, "labels": ids.clone()})
    return texts
