"""A tiny GPT-2, its tokenizer and some documents, written as `save_pretrained` does."""

from pathlib import Path

import pytest
import torch
from torch import nn

from byline.task import Task
from byline.tasks import Document, LocalModel, causal_language_model

CONTEXT = 16
END = "<|end|>"
TEXTS = [
    "def add(a, b):\n    return a + b\n" * 4,
    "import os\nprint(os.getcwd())\n" * 3,
    "class Point:\n    x: int = 0\n    y: int = 0\n",
    "é and ü are two bytes each, ☃ is three; def f(): pass",
]


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(TEXTS, vocab_size=300, special_tokens=[END], show_progress=False)
    folder = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(
        tokenizer_object=trained._tokenizer, bos_token=END, eos_token=END
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def lm_folder(tokenizer_folder: Path) -> Path:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=300,
        n_positions=CONTEXT,
        n_embd=16,
        n_layer=2,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
    )
    GPT2LMHeadModel(config).save_pretrained(tokenizer_folder)
    return tokenizer_folder


@pytest.fixture
def local(lm_folder: Path) -> LocalModel:
    return LocalModel(folder=lm_folder)


@pytest.fixture
def documents() -> list[Document]:
    return [
        Document(text=text, id=f"doc-{i}", owner=f"owner {i}", license="MIT", uri=f"file:{i}.py")
        for i, text in enumerate(TEXTS)
    ]


@pytest.fixture
def task(local: LocalModel, documents: list[Document]) -> Task:
    return causal_language_model("tiny", local, documents)


@pytest.fixture
def model(task: Task) -> nn.Module:
    from safetensors.torch import load_file

    model = task.model()
    missing = model.load_state_dict(load_file(task.checkpoints[0].weights), strict=False)  # type: ignore[arg-type]
    assert missing.missing_keys == ["lm_head.weight"], "GPT-2 ties its head to its embedding"
    return model.to(torch.float64)
