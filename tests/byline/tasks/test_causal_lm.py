from typing import Any

import pytest
import torch
from pydantic import ValidationError

from byline.errors import InputTooLarge, InvalidQuery, InvalidTask
from byline.task import Task
from byline.tasks import Document, LocalModel, causal_language_model
from byline.tasks.documents import IGNORED

CONTEXT = 16


def ask(task: Task, **payload: Any) -> Any:
    assert task.query is not None
    return task.query.parse(task.query.payload(**payload))


def test_a_representation_is_the_mean_of_the_last_states_and_blind_to_padding(task, model):
    items = [task.train_set[i] for i in range(3)]
    together = task.representation(model, task.collate(items))
    for found_D, item in zip(together, items, strict=True):
        states_TD = model.transformer(input_ids=item["input_ids"][None]).last_hidden_state[0]
        torch.testing.assert_close(found_D, states_TD.mean(0))
    assert task.text(items[0])


def test_training_completions_have_no_loss_on_their_prompt(local):
    task = causal_language_model("tiny", local, [Document(text="def f(", completion="x): pass")])
    item = task.train_set[0]
    prompt = int((item["labels"] == IGNORED).sum())
    assert 0 < prompt < len(item["labels"])
    torch.testing.assert_close(item["labels"][prompt:], item["input_ids"][prompt:])
    assert task.describe(0).preview == "def f(x): pass"


def test_a_candidate_is_cut_as_training_cuts_it(local):
    texts = [Document(text="x = 1\n" * 30), Document(text="def f(", completion="x): pass")]
    task = causal_language_model("tiny", local, texts)
    candidates = [
        item
        for document in texts
        for item in task.query.train(task.query.payload(text=document.text, completion=document.completion))
    ]
    assert len(candidates) == len(task.train_set) > 2
    for row, item in enumerate(candidates):
        for name in ("input_ids", "labels"):
            torch.testing.assert_close(item[name], task.train_set[row][name])
    with pytest.raises(InvalidQuery, match="2 tokens"):
        task.query.train(task.query.payload(text="x"))


@pytest.mark.parametrize("named", [{"rather_than": "y"}, {"target_tokens": [0, 1]}, {"target_text": "x"}])
def test_a_candidate_with_targets_is_refused(task, named):
    with pytest.raises(InvalidQuery, match=f"a candidate without {next(iter(named))}"):
        task.query.train(task.query.payload(text="def f(", completion="x): pass", **named))


def test_a_prompt_that_does_not_fit_is_refused(local):
    with pytest.raises(InvalidTask, match=f"{CONTEXT} together"):
        causal_language_model("tiny", local, [Document(text="x = " * 60, completion="1")])


def test_a_start_token_makes_the_first_word_a_target(lm_folder):
    local = LocalModel(folder=lm_folder, start_token=True)
    task = causal_language_model("tiny", local, [Document(text="x = 1\n" * 30)])
    assert all(task.train_set[i]["input_ids"][0] == 0 for i in range(len(task.train_set)))
    assert all(len(task.train_set[i]["input_ids"]) <= CONTEXT for i in range(len(task.train_set)))
    assert ask(task, text="a", attribute="text").item["labels"].shape == (2,)


@pytest.mark.parametrize(
    "payload",
    [
        {"text": ""},
        {"text": 7},
        {"text": "a", "completion": ""},
        {"text": "a", "more": 1},
        {"text": "a" * 100_000},
        {"text": "\ud800"},
        {"text": "a", "completion": "b", "attribute": "text"},
        {},
    ],
)
def test_bad_payloads_are_refused(task, payload):
    with pytest.raises(ValidationError):
        task.query.payload(**payload)


@pytest.mark.parametrize("more", [{}, {"completion": "y"}, {"attribute": "text"}])
def test_a_text_longer_than_the_context_is_too_large(task, more):
    with pytest.raises(InputTooLarge, match=r"at most \d+ tokens, got \d+"):
        ask(task, text="é" * 40, **more)
