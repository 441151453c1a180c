"""Models of another kind than the Task's are refused in one line, before their weights are read."""

from pathlib import Path
from typing import Any

import pytest
import transformers

from byline.errors import InvalidTask
from byline.tasks import LocalModel, causal_language_model, sequence_classifier
from byline.tasks.heads import require_head
from tests.byline.tasks.chat_templates import chat_tokenizer
from tests.byline.tasks.conftest import TEXTS

BERT: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "max_position_embeddings": 16,
}
GPT2: dict[str, Any] = {"vocab_size": 300, "n_positions": 16, "n_embd": 8, "n_layer": 1, "n_head": 2}
T5: dict[str, Any] = {
    "vocab_size": 300,
    "d_model": 8,
    "d_kv": 4,
    "d_ff": 8,
    "num_layers": 1,
    "num_heads": 2,
}
VIT: dict[str, Any] = {**BERT, "image_size": 8, "patch_size": 4}
del VIT["vocab_size"], VIT["max_position_embeddings"]
OTHERS = {
    "T5ForConditionalGeneration": (transformers.T5Config, T5),
    "BertForMaskedLM": (transformers.BertConfig, BERT),
    "GPT2ForSequenceClassification": (transformers.GPT2Config, GPT2),
    "ViTForImageClassification": (transformers.ViTConfig, VIT),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_models_are_refused_in_a_folder_and_in_memory(
    tokenizer_folder: Path, tmp_path: Path, name: str
) -> None:
    config, fields = OTHERS[name]
    model: Any = getattr(transformers, name)(config(**fields))
    model.save_pretrained(tmp_path)
    with pytest.raises(
        InvalidTask, match=f"expected a causal language model of transformers, got {name}: declare"
    ):
        causal_language_model("x", tmp_path, TEXTS)
    with pytest.raises(InvalidTask, match=f"expected a causal language model of transformers, got .*{name}"):
        causal_language_model("x", model, TEXTS, tokenizer=chat_tokenizer(tokenizer_folder))


def test_a_classifier_is_wanted(tmp_path: Path) -> None:
    transformers.ViTConfig(**VIT).save_pretrained(tmp_path)
    with pytest.raises(InvalidTask, match="expected a classifier of texts of transformers, got ViTConfig"):
        sequence_classifier("x", LocalModel(folder=tmp_path), [])


def test_language_models_under_other_names_are_taken() -> None:
    for names in (None, ["GPT2LMHeadModel"], ["GPT2Model"], ["OwnForCausalLM"]):
        require_head(transformers.GPT2Config(**GPT2, architectures=names), "AutoModelForCausalLM")
    require_head(transformers.BartConfig(architectures=["BartForCausalLM"]), "AutoModelForCausalLM")
    with pytest.raises(InvalidTask, match="got BartModel"):
        require_head(transformers.BartConfig(architectures=["BartModel"]), "AutoModelForCausalLM")
