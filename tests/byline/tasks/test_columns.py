"""Columns of the usual names are found, others are mapped, and rows that do not fit are named by their position."""

import datetime
from typing import Any

import pytest

from byline.errors import InvalidTask
from byline.tasks.chats import chat_fault
from byline.tasks.columns import Columns


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["text"], {"text": "text"}),
        (["content", "path"], {"text": "content"}),
        (["prompt", "completion", "id"], {"prompt": "prompt", "completion": "completion", "id": "id"}),
        (["instruction", "output"], {"prompt": "instruction", "completion": "output"}),
        (["question", "answer"], {"prompt": "question", "completion": "answer"}),
        (["messages", "owner", "license"], {"messages": "messages", "owner": "owner", "license": "license"}),
        (["conversations"], {"messages": "conversations"}),
    ],
)
def test_usual_names(names: list[str], found: dict[str, str]) -> None:
    assert Columns().fitted(names).model_dump(exclude_none=True, exclude={"attributes"}) == found


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["body"], "none of the usual names in the columns 'body'"),
        (["text", "messages"], "several of the usual names"),
        (["instruction", "input", "output"], "join them into a column"),
        ([], "no columns"),
        (["a secret", "body"], "in the columns 'body' and 1 whose names are no plain words: "),
        (["a secret", "more secret, too"], "in 2 columns whose names are no plain words: "),
    ],
)
def test_what_cannot_be_guessed_is_refused_with_the_columns(names: list[str], message: str) -> None:
    with pytest.raises(InvalidTask, match=message) as error:
        Columns().fitted(names)
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)


def test_an_absent_column_is_named() -> None:
    with pytest.raises(InvalidTask, match="expected a column 'body', the data set has the columns 'text'"):
        Columns(text="body").fitted(["text"])


def test_half_a_form_is_refused() -> None:
    with pytest.raises(InvalidTask, match="messages, got prompt"):
        Columns(prompt="q").fitted(["q"])


def test_an_empty_name_takes_no_column() -> None:
    assert Columns(id="").fitted(["text", "id"]).id is None


def test_a_row_becomes_a_document() -> None:
    columns = Columns(text="body", owner="author", id="n", attributes=("when", "tags")).fitted(
        ["body", "author", "n", "when", "tags", "label"]
    )
    row = {
        "body": "x = 1",
        "author": None,
        "n": 7,
        "when": datetime.date(2026, 1, 2),
        "tags": ["a"],
        "label": "py",
    }
    document = columns.document(row, 0)
    assert (document.text, document.owner, document.id, document.label) == ("x = 1", None, "7", "py")
    assert document.attributes == {"when": "2026-01-02", "tags": ["a"]}


@pytest.mark.parametrize(
    ("columns", "row", "message"),
    [
        (
            Columns(text="t"),
            {"t": None},
            "expected 't' of every row to be text, got a NoneType in the row at position 3",
        ),
        (Columns(text="t"), {"t": ["secret"]}, "got a list in the row at position 3"),
        (Columns(text="t"), {"u": "secret"}, "found none in the row at position 3"),
        (Columns(messages="m"), {"m": "secret"}, "a list of messages, got a str in the row at position 3"),
        (Columns(messages="m"), {"m": []}, "got none in the row at position 3"),
        (
            Columns(prompt="p", completion="c"),
            {"p": "secret", "c": 3},
            "expected 'c' of every row to be text",
        ),
        (Columns(text="t", owner="o"), {"t": "a", "o": {}}, "text or a number, got a dict"),
        (Columns(text="t", attributes=("a",)), {"t": "a", "a": b""}, "to be JSON, got a bytes"),
    ],
)
def test_rows_that_do_not_fit(columns: Columns, row: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidTask, match=message) as error:
        columns.document(row, 3)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_turn_of_sharegpt_whose_role_is_no_word_stays_for_the_check() -> None:
    row = {"c": [{"from": ["human"], "value": "a"}]}
    (turn,) = Columns(messages="c").document(row, 0).messages
    assert "expected the role of a message" in (chat_fault([turn]) or "")


PROMPT = [{"role": "user", "content": "secret"}]
ANSWER = [{"role": "assistant", "content": "a", "name": None, "tool_calls": [{"id": None, "type": "x"}]}]


def test_a_prompt_and_a_completion_of_messages_are_a_chat_whose_prompt_has_no_loss() -> None:
    columns = Columns().fitted(["prompt", "completion", "tools"])
    tools = [{"function": {"name": "f", "strict": None}}]
    document = columns.document({"prompt": PROMPT * 2, "completion": ANSWER, "tools": tools}, 0)
    assert (document.text, document.completion, document.given) == ("", None, 2)
    assert document.messages == (
        *PROMPT * 2,
        {"role": "assistant", "content": "a", "tool_calls": [{"type": "x"}]},
    )
    assert document.tools == ({"function": {"name": "f"}},)
    plain = columns.document({"prompt": "q", "completion": "a", "tools": None}, 0)
    assert (plain.text, plain.completion, plain.messages) == ("q", "a", ())


@pytest.mark.parametrize(("tools", "found"), [('[{"name": "f"}]', ({"name": "f"},)), ("", ()), (None, ())])
def test_tools_may_be_json_text(tools: str | None, found: tuple[Any, ...]) -> None:
    document = Columns().fitted(["messages", "tools"]).document({"messages": ANSWER, "tools": tools}, 0)
    assert document.tools == found
    assert Columns().fitted(["text", "tools"]).tools is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"prompt": PROMPT, "completion": "secret"},
            "two texts or two lists of messages, got a list and a str in the row at position 3",
        ),
        ({"prompt": PROMPT, "completion": []}, "'completion' of every row to hold messages, got none"),
        ({"prompt": PROMPT, "completion": ANSWER, "tools": "secret"}, "'tools' of every row .* position 3"),
        ({"prompt": PROMPT, "completion": ANSWER, "tools": ["secret"]}, "'tools' of every row .* position 3"),
    ],
)
def test_half_a_chat_and_wrong_tools_are_refused(row: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidTask, match=message) as error:
        Columns().fitted(["prompt", "completion", "tools"]).document(row, 3)
    assert "secret" not in str(error.value)


def test_turns_of_sharegpt_and_of_tables() -> None:
    row = {
        "c": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}, {"role": "user", "name": None}]
    }
    assert Columns(messages="c").document(row, 0).messages == (
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user"},
    )
