"""Chats are written by the template, and the loss lies on the assistant's turns alone."""

from pathlib import Path
from typing import Any

import pytest

from byline.errors import InvalidInput, InvalidTask
from byline.tasks.chats import ChatTemplate, chat_fault, first_exchange
from tests.byline.tasks.chat_templates import (
    CALLS,
    CHAT,
    CHATML,
    DATED,
    MARKED,
    REWRITING,
    STRICT,
    THINKING,
    TOOL,
    TOOLS,
    chat_tokenizer,
)


@pytest.mark.parametrize("template", [CHATML, MARKED])
def test_every_turn_of_the_assistant_is_a_target_with_its_end(tokenizer_folder: Path, template: str) -> None:
    tokenizer = chat_tokenizer(tokenizer_folder, template)
    tokens_T, targets_T = ChatTemplate(tokenizer).encode(CHAT)
    assert tokenizer.decode(tokens_T) == tokenizer.apply_chat_template(CHAT, tokenize=False)
    assert tokenizer.decode(tokens_T[targets_T]) == "os<|end|>add(a, b)<|end|>"


def test_both_ways_to_find_the_turns_agree(tokenizer_folder: Path) -> None:
    found = [ChatTemplate(chat_tokenizer(tokenizer_folder, each)).encode(CHAT) for each in (CHATML, MARKED)]
    assert (found[0][0] == found[1][0]).all()
    assert (found[0][1] == found[1][1]).all()


@pytest.mark.parametrize("marked", [False, True])
def test_a_template_with_todays_date_writes_the_same_every_day(tokenizer_folder: Path, marked: bool) -> None:
    template = DATED.replace(CHATML, MARKED) if marked else DATED
    tokenizer = chat_tokenizer(tokenizer_folder, template)
    tokens_T, _ = ChatTemplate(tokenizer).encode(CHAT)
    assert tokenizer.decode(tokens_T).startswith("Today: 26 Jul 2024")
    prompt = ChatTemplate(tokenizer).prompt(CHAT[:-1])
    assert tokens_T[: len(prompt)].tolist() == prompt


@pytest.mark.parametrize("template", [CHATML, MARKED])
def test_no_turn_of_a_prompt_is_a_target(tokenizer_folder: Path, template: str) -> None:
    tokenizer = chat_tokenizer(tokenizer_folder, template)
    tokens_T, targets_T = ChatTemplate(tokenizer).encode(CHAT, given=4)
    assert tokenizer.decode(tokens_T) == tokenizer.apply_chat_template(CHAT, tokenize=False)
    assert tokenizer.decode(tokens_T[targets_T]) == "add(a, b)<|end|>"
    assert len(tokens_T[~targets_T]) >= len(ChatTemplate(tokenizer).prompt(CHAT[:4]))


def test_tools_and_their_calls_are_written_and_the_calls_are_targets(tokenizer_folder: Path) -> None:
    tokenizer = chat_tokenizer(tokenizer_folder, TOOLS)
    tokens_T, targets_T = ChatTemplate(tokenizer).encode(CALLS, tools=[TOOL])
    assert tokenizer.decode(tokens_T).startswith("<|tool|>add<|user|>1 + 2?")
    assert tokenizer.decode(tokens_T[targets_T]) == 'call add {"a": 1, "b": 2}<|end|>three<|end|>'
    prompt = ChatTemplate(tokenizer).prompt(CALLS[:3], [TOOL])
    assert tokens_T[: len(prompt)].tolist() == prompt
    assert chat_fault(CALLS) is None


def test_a_prompt_ends_where_the_answer_begins(tokenizer_folder: Path) -> None:
    template = ChatTemplate(chat_tokenizer(tokenizer_folder))
    tokens_T, targets_T = template.encode(CHAT)
    prompt = template.prompt(CHAT[:-1])
    assert tokens_T[: len(prompt)].tolist() == prompt
    assert targets_T[len(prompt)]


def test_thoughts_that_only_the_last_turn_has(tokenizer_folder: Path) -> None:
    tokenizer = chat_tokenizer(tokenizer_folder, THINKING)
    tokens_T, targets_T = ChatTemplate(tokenizer).encode(CHAT)
    assert tokenizer.decode(tokens_T[targets_T]) == "os<|end|><think></think>add(a, b)<|end|>"
    again = [CHAT[1], {"role": "assistant", "content": "import?"}, *CHAT[3:]]  # the same words elsewhere
    tokens_T, targets_T = ChatTemplate(tokenizer).encode(again)
    assert tokenizer.decode(tokens_T[targets_T]) == "import?<|end|><think></think>add(a, b)<|end|>"


def test_a_template_that_rewrites_turns_is_refused_with_the_way_out(tokenizer_folder: Path) -> None:
    with pytest.raises(
        InvalidInput, match=r"put \{% generation %\} and \{% endgeneration %\} around"
    ) as error:
        ChatTemplate(chat_tokenizer(tokenizer_folder, REWRITING)).encode(CHAT)
    assert "\n" not in str(error.value)


def test_messages_that_the_template_refuses_are_told_without_their_content(tokenizer_folder: Path) -> None:
    with pytest.raises(InvalidInput, match="got 5 that it refuses") as error:
        ChatTemplate(chat_tokenizer(tokenizer_folder, STRICT)).encode(CHAT)
    assert "brief" not in str(error.value)
    assert error.value.__cause__ is None


def test_a_chat_that_the_assistant_begins(tokenizer_folder: Path) -> None:
    begun = [{"role": "assistant", "content": "hi"}, *CHAT[1:]]
    with pytest.raises(InvalidInput, match="got one that begins with the assistant's: leave that turn out"):
        ChatTemplate(chat_tokenizer(tokenizer_folder)).encode(begun)
    _, targets_T = ChatTemplate(chat_tokenizer(tokenizer_folder, MARKED)).encode(begun)
    assert targets_T.any()


def test_a_tokenizer_without_a_template_is_refused(tokenizer_folder: Path) -> None:
    tokenizer = chat_tokenizer(tokenizer_folder)
    tokenizer.chat_template = None
    with pytest.raises(InvalidTask, match="set tokenizer"):
        ChatTemplate(tokenizer)


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], "empty list"),
        (["secret"], "an object with role and content, got a str at message 0"),
        ([{"role": "user", "content": None}], "content of a message to be text, got a NoneType at message 0"),
        ([{"role": "bot", "content": "secret"}], "got a word of 3 letters at message 0"),
        ([{"content": "secret"}], "got a NoneType at message 0"),
        ([{"role": "user", "content": ["secret"]}], "text, got a list"),
        ([{"role": "user", "content": "secret"}], "an assistant's turn"),
    ],
)
def test_what_is_wrong_with_messages(messages: list[Any], message: str) -> None:
    fault = chat_fault(messages)
    assert fault is not None
    assert message in fault
    assert "secret" not in fault
    assert chat_fault(CHAT) is None
    assert "got none in 0 messages behind a prompt of 5" in (chat_fault(CHAT, 5) or "")


def test_people_see_the_first_question_and_answer() -> None:
    assert first_exchange(CHAT) == ("import?", "os")
    assert first_exchange(CHAT, 4) == ("def?", "add(a, b)")
    assert first_exchange([{"role": "assistant", "content": None, "tool_calls": [1]}]) == ("", "")
