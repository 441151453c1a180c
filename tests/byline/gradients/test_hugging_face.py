"""Hugging Face's networks, whole: transposed Conv1D, tied heads, norms of their own, shared position ids."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from byline.gradients.checks import build_collector
from byline.gradients.masks.mask import DropoutMask
from tests.reference import reference

transformers = pytest.importorskip("transformers", reason="the extra `hf` is not installed")


def gpt2() -> nn.Module:
    sizes = {"n_embd": 8, "n_layer": 2, "n_head": 2, "n_positions": 12, "vocab_size": 20}
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes))


def llama() -> nn.Module:
    sizes = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.LlamaConfig(**sizes, num_key_value_heads=1, vocab_size=20, tie_word_embeddings=True)
    return transformers.LlamaForCausalLM(config)


def bert() -> nn.Module:
    sizes = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
    return transformers.BertForSequenceClassification(
        transformers.BertConfig(**sizes, vocab_size=20, num_labels=3)
    )


def next_token(model: nn.Module, tokens: Tensor) -> Tensor:
    attention = (tokens != 0).long()
    logits = model(input_ids=tokens, attention_mask=attention, use_cache=False).logits
    losses = F.cross_entropy(logits[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none")
    return (losses * attention[:, 1:]).sum(dim=1) / attention[:, 1:].sum(dim=1)


def classified(model: nn.Module, tokens: Tensor) -> Tensor:
    logits = model(input_ids=tokens, attention_mask=(tokens != 0).long()).logits
    return F.cross_entropy(logits, tokens[:, 0] % 3, reduction="none")


CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module, Tensor], Tensor]]] = {
    "gpt2": (gpt2, next_token),
    "llama": (llama, next_token),
    "bert": (bert, classified),
}


def case(name: str) -> tuple[nn.Module, Callable[[nn.Module, Tensor], Tensor], Tensor]:
    torch.manual_seed(0)
    make, loss = CASES[name]
    tokens = torch.randint(1, 20, (5, 7))
    tokens[1, 4:] = 0
    tokens[3, 5:] = 0
    return make().double().eval(), loss, tokens


@pytest.mark.parametrize("name", CASES)
def test_equals_autograd_one_by_one(name: str) -> None:
    model, loss, tokens = case(name)
    collector = build_collector(model, loss, lambda count: tokens[[0, 1, 0][:count]])
    found = collector.collect(loss, tokens, 5)
    names = [p for block in collector.blocks for p in block.parameters]
    assert set(names) == {n for n, _ in model.named_parameters()}
    rows = reference.gradients_one_by_one(model, loss, [tokens[n : n + 1] for n in range(5)], names)
    for block, expected in reference.block_matrices(collector.blocks, rows).items():
        torch.testing.assert_close(found.blocks[block].dense(), torch.tensor(expected), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_padding_changes_no_gradient(name: str) -> None:
    model, loss, tokens = case(name)
    collector = build_collector(model, loss, lambda count: tokens[[0, 1, 0][:count]])
    together = collector.collect(loss, tokens, 5).blocks
    alone = collector.collect(loss, tokens[1:2, :4], 1).blocks
    for block in collector.blocks:
        torch.testing.assert_close(
            alone[block.name].dense()[0], together[block.name].dense()[1], rtol=1e-8, atol=1e-10
        )


def test_a_mask_finds_gpt2s_dropout() -> None:
    model, _, tokens = case("gpt2")
    with torch.no_grad():
        plain = model(tokens).logits
        with DropoutMask(model, seed=0).active():
            masked = model(tokens).logits
    assert not torch.allclose(plain, masked)


def test_a_mask_is_the_same_where_the_batch_is_padded_to_the_models_width() -> None:
    """What a layer returns then has the shape of attention probabilities."""
    model, loss, _ = case("gpt2")
    width = 8
    tokens = torch.randint(1, 20, (3, width))
    tokens[0, 5:] = 0
    collector = build_collector(model, loss, lambda count: tokens[[0, 1, 0][:count]])
    mask = DropoutMask(model, seed=0)
    together = collector.collect(loss, tokens, 3, mask.active()).dense()[0]
    alone = collector.collect(loss, tokens[:1, :5], 1, mask.active()).dense()[0]
    torch.testing.assert_close(alone, together, rtol=1e-8, atol=1e-10)
