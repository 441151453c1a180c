"""A Llama of random weights and chunks of the standard library's source, for benchmarks of loading rather than of scores.

Its Task is read from a copy of this file beside the model's folder, so it imports nothing from the benchmarks.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from byline.task import Task
from byline.tasks import Document, LocalModel, causal_language_model

FOLDER = "model"
SOURCES = ("argparse", "ast", "bisect", "dataclasses", "functools", "heapq", "inspect", "statistics")


@dataclass(frozen=True, kw_only=True)
class LlamaSize:
    """Size of the model and of its training set."""

    width: int = 512
    layers: int = 8
    vocabulary: int = 8192
    context: int = 128
    characters: int = 2000
    """Characters of each module that are training text."""


def texts(characters: int) -> list[tuple[str, str]]:
    """List names and beginnings of a few modules of the standard library."""
    folder = Path(shutil.__file__).parent
    return [(name, (folder / f"{name}.py").read_text(encoding="utf-8")[:characters]) for name in SOURCES]


def write_llama(folder: Path, size: LlamaSize) -> int:
    """Write the model, its tokenizer, its texts and the Task's file.

    Args:
        folder: An empty folder.
        size: How large.

    Returns:
        The number of parameters.
    """
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    found = texts(size.characters)
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(
        [text for _, text in found],
        vocab_size=size.vocabulary,
        special_tokens=["<|end|>"],
        show_progress=False,
    )
    PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, eos_token="<|end|>").save_pretrained(  # noqa: S106 - a token of text
        folder / FOLDER
    )
    config = LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.width,
        intermediate_size=3 * size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.width // 64 or 1,
        max_position_embeddings=size.context,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder / FOLDER)
    (folder / "characters.txt").write_text(str(size.characters))
    (folder / "llama.py").write_text(Path(__file__).read_text(encoding="utf-8"))
    return sum(parameter.numel() for parameter in model.parameters())


def task() -> Task:
    """Declare the Task, of the folder that this file lies in."""
    folder = Path(__file__).parent
    characters = int((folder / "characters.txt").read_text())
    documents = [
        Document(text=text, id=name, owner=name, license="PSF-2.0") for name, text in texts(characters)
    ]
    return causal_language_model("llama", LocalModel(folder=folder / FOLDER), documents)
