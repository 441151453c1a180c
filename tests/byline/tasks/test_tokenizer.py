"""Tokenizers are loaded from folders or copied; a slow one is refused."""

import shutil
from pathlib import Path

import pytest

from byline.errors import InputTooLarge, InvalidQuery, InvalidTask
from byline.tasks.tokenizer import Tokens, require_fit
from tests.byline.tasks.chat_templates import chat_tokenizer


def test_a_tokenizer_in_memory_is_copied(tokenizer_folder: Path) -> None:
    own = chat_tokenizer(tokenizer_folder)
    length = own.model_max_length
    tokens = Tokens(own)
    assert tokens.encode("def add(a)") == Tokens(tokenizer_folder).encode("def add(a)")
    assert tokens.has_chat
    assert not Tokens(tokenizer_folder).has_chat
    own.chat_template = None
    assert tokens.has_chat
    assert own.model_max_length == length


def test_texts_together_are_encoded_as_one_by_one(tokenizer_folder: Path) -> None:
    tokens, texts = Tokens(tokenizer_folder), ["def add(a)", "", "é ☃", "import os"]
    assert [(e.ids, e.offsets) for e in tokens.encode_all(texts)] == [tokens.encode(text) for text in texts]
    tokens.with_special("a cut text of many words", limit=2)
    assert [(e.ids, e.offsets) for e in tokens.encode_all(texts)] == [tokens.encode(text) for text in texts]


def test_a_folder_without_a_tokenizer_is_refused_with_the_way_out(lm_folder: Path, tmp_path: Path) -> None:
    shutil.copy(lm_folder / "config.json", tmp_path)
    with pytest.raises(InvalidTask, match="found none: copy the tokenizer of the training"):
        Tokens(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{secret")
    with pytest.raises(InvalidTask, match=r"found none that can be read \(\w+\): copy") as error:
        Tokens(tmp_path)
    assert "secret" not in str(error.value)


def test_what_is_no_fast_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidTask, match="expected a tokenizer in"):
        Tokens(tmp_path)
    with pytest.raises(InvalidTask, match="expected a fast tokenizer"):
        Tokens(object())


def test_lengths() -> None:
    require_fit("text", 3, 3)
    with pytest.raises(InvalidQuery, match="at least one token"):
        require_fit("text", 0, 3)
    with pytest.raises(InputTooLarge, match="at most 3 tokens, got 4"):
        require_fit("text", 4, 3)
