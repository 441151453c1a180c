"""Texts of tokens: they join to the text; tokens of a stretch of a completion."""

import pytest

from byline.errors import InvalidQuery
from byline.tasks.token_texts import token_texts
from byline.tasks.tokenizer import Tokens
from tests.byline.tasks.conftest import TEXTS
from tests.byline.tasks.test_causal_lm import ask


@pytest.mark.parametrize("text", [*TEXTS, "☃", " é"])
def test_texts_join_to_the_text_and_have_no_half_characters(tokenizer_folder, text):
    tokens = Tokens(tokenizer_folder)
    ids, _ = tokens.encode(text)
    texts = token_texts(tokens.decode, ids)
    assert len(texts) == len(ids)
    assert "".join(texts) == text
    assert not any("\ufffd" in each for each in texts)


def test_a_character_of_several_tokens_goes_with_its_last_one(tokenizer_folder):
    tokens = Tokens(tokenizer_folder)
    ids, _ = tokens.encode("☺")  # not in the tokenizer's texts
    assert token_texts(tokens.decode, ids) == [""] * (len(ids) - 1) + ["☺"]


def test_an_items_texts_are_those_of_its_positions(task):
    item = ask(task, text="def add(", completion="a, b)", rather_than="x: int").item
    texts = task.positions.texts(item)
    assert "".join(texts) == "def add(a, b)def add(x: int"
    assert len(texts) == len(item["input_ids"]) + len(item["rather_than"]["input_ids"])


@pytest.mark.parametrize(
    ("asked", "covered"),
    [({"target_tokens": [1, 3]}, [1, 2]), ({"target_text": "b"}, [2]), ({}, [0, 1, 2, 3])],
)
def test_target_tokens_are_the_only_ones_with_a_loss(task, model, asked, covered):
    item = ask(task, text="def add(", completion="a, b)", **asked).item
    whole = ask(task, text="def add(", completion="a, b)").item
    prompt = int((whole["labels"] == -100).sum())
    losses = task.positions.losses(model, task.collate([item]))[0].detach()
    expected = task.positions.losses(model, task.collate([whole]))[0].detach()
    for place in range(len(losses)):
        wanted = expected[place] if place - prompt in covered else 0.0
        assert float(losses[place]) == pytest.approx(float(wanted))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"target_tokens": [2, 2]}, "completion's 4 tokens"),
        ({"target_tokens": [0, 9]}, "completion's 4 tokens"),
        ({"target_tokens": [-1, 2]}, "completion's 4 tokens"),
        ({"target_text": "xyz"}, "part of the completion"),
    ],
)
def test_tokens_that_are_not_there_are_refused(task, asked, message):
    with pytest.raises(InvalidQuery, match=message):
        ask(task, text="def add(", completion="a, b)", **asked)
