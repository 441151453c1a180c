"""Chats as the tokenizer's template writes them, with the tokens of the assistant's turns told apart."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from byline.declarations import kind
from byline.errors import InvalidInput, InvalidTask

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
GENERATION = "{% generation %}"
"""A template that marks the assistant's turns itself has this tag."""
_PLACE = "\u2603byline\u2603"
"""Stands for a turn's content while its place is looked for."""
_DAY = {
    "%d": "26",
    "%-d": "26",
    "%e": "26",
    "%m": "07",
    "%-m": "7",
    "%y": "24",
    "%Y": "2024",
    "%j": "208",
    "%b": "Jul",
    "%B": "July",
    "%a": "Fri",
    "%A": "Friday",
    "%F": "2024-07-26",
    "%D": "07/26/24",
    "%H": "00",
    "%I": "12",
    "%M": "00",
    "%S": "00",
    "%p": "AM",
    "%T": "00:00:00",
    "%Z": "UTC",
    "%z": "+0000",
}
"""The day that every template is told: with the real one, the same chats would be other data on the next day."""
_NOW = "strftime_now"
_FIXED_NOW = (
    f"{{% macro {_NOW}(format) %}}{{{{ format"
    + "".join(f".replace('{code}', '{value}')" for code, value in _DAY.items())
    + " }}{% endmacro %}{{ '' }}"  # the empty text keeps a line break that follows
)
"""Stands before a template in place of the function that templates ask for the time."""
Turn = Mapping[str, Any]


def chat_fault(messages: Sequence[Any], given: int = 0) -> str | None:
    """Find what is wrong with the messages of a chat, in words that never name their content.

    Args:
        messages: `{"role": ..., "content": ...}` each.
        given: Messages at the beginning that are a prompt.

    Returns:
        What was expected and what came. None where nothing is wrong.
    """
    if not messages:
        return "expected messages, got an empty list"
    for number, turn in enumerate(messages):
        if not isinstance(turn, Mapping):
            return f"expected every message to be an object with role and content, got {kind(turn)} at message {number}"
        role, content = turn.get("role"), turn.get("content")
        if role not in ROLES:
            came = f"a word of {len(role)} letters" if isinstance(role, str) else kind(role)
            return f"expected the role of a message to be one of {', '.join(ROLES)}, got {came} at message {number}"
        if not isinstance(content, str) and not (content is None and turn.get("tool_calls")):
            return f"expected the content of a message to be text, got {kind(content)} at message {number}"
    if all(turn["role"] != "assistant" for turn in messages[given:]):
        behind = f" behind a prompt of {given}" if given else ""
        return (
            f"expected an assistant's turn, which the loss is taken over, got none in {len(messages) - given} "
            f"messages{behind}"
        )
    return None


def first_exchange(messages: Sequence[Turn], given: int = 0) -> tuple[str, str]:
    """Find a chat's first answer of the assistant that is no part of a prompt, and the user's question, for people.

    Args:
        messages: Without a fault (`chat_fault`).
        given: Messages at the beginning that are a prompt. The question is then the last one there.
    """
    asked = list(reversed(messages[:given])) or messages
    question, answer = (
        next((str(t["content"]) for t in turns if t["role"] == role and t.get("content")), "")
        for role, turns in (("user", asked), ("assistant", messages[given:]))
    )
    return question, answer


class ChatTemplate:
    """The chat template of a tokenizer. Where a template asks for today's date, it is told July 26, 2024, always.

    Args:
        tokenizer: Of transformers, fast, with a chat template.

    Raises:
        InvalidTask: It has none.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        template = tokenizer.chat_template
        if not isinstance(template, str):
            raise InvalidTask(
                "expected a tokenizer with one chat template, since the training data are messages: set "
                "tokenizer.chat_template as in training, or pass columns of texts"
            )
        self._written = f"{_FIXED_NOW}{template}" if _NOW in template else template
        self._marks = GENERATION in template or "{%- generation" in template

    def encode(
        self, messages: Sequence[Turn], given: int = 0, tools: Sequence[Turn] = ()
    ) -> tuple[np.ndarray, np.ndarray]:
        """Encode a chat.

        Args:
            messages: At least one, without a fault (`chat_fault`).
            given: Messages at the beginning that are a prompt.
            tools: Tools that the template may write, as JSON schemas.

        Returns:
            tokens int32 [T] and targets bool [T]: the assistant's turns behind the prompt, with the token that ends each.

        Raises:
            InvalidInput: The template refuses the messages, or writes turns in a way that does not tell their places.
        """
        if self._marks:
            return self._marked(messages, given, tools)
        written = _Written(self, messages, tools)
        full = written.text()
        spans = [
            written.span(number, full)
            for number, turn in enumerate(messages)
            if turn["role"] == "assistant" and number >= given
        ]
        encoding = self._tokenizer(full, add_special_tokens=False, return_offsets_mapping=True)
        places_T2 = np.asarray(encoding["offset_mapping"], np.int64).reshape(-1, 2)
        targets_T = np.zeros(len(places_T2), bool)
        for first, last in spans:
            targets_T |= (places_T2[:, 1] > first) & (places_T2[:, 0] < last)
        return np.asarray(encoding["input_ids"], np.int32), targets_T

    def prompt(self, messages: Sequence[Turn], tools: Sequence[Turn] = ()) -> list[int]:
        """Encode messages and the beginning of the assistant's next turn.

        Raises:
            InvalidInput: The template refuses the messages.
        """
        text = self.write(messages, tools, tokenize=False, add_generation_prompt=True)
        tokens: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return tokens

    def _marked(
        self, messages: Sequence[Turn], given: int, tools: Sequence[Turn]
    ) -> tuple[np.ndarray, np.ndarray]:
        encoding = self.write(
            messages, tools, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
        )
        targets_T = np.asarray(encoding["assistant_masks"], bool)
        if given:
            targets_T[: len(self.prompt(messages[:given], tools))] = False
        return np.asarray(encoding["input_ids"], np.int32), targets_T

    def write(self, messages: Sequence[Turn], tools: Sequence[Turn], **options: Any) -> Any:
        """Have the template write messages.

        Args:
            messages: In the order of the chat.
            tools: Tools, as JSON schemas.
            options: Of the tokenizer's `apply_chat_template`.

        Raises:
            InvalidInput: There are no messages, or the template refuses them.
        """
        if not messages:
            raise InvalidInput(
                "expected a chat that begins with a system's or a user's turn, got one that begins with the assistant's: "
                "leave that turn out, or put one before it"
            )
        try:
            return self._tokenizer.apply_chat_template(
                [dict(turn) for turn in messages],
                tools=[dict(tool) for tool in tools] or None,
                chat_template=self._written,
                **options,
            )
        except Exception as error:  # a template raises errors of jinja2 with words of its own
            raise InvalidInput(
                f"expected messages that the tokenizer's chat template takes, got {len(messages)} that it refuses "
                f"({type(error).__name__}): repair their order, or leave them out"
            ) from None


class _Written:
    """A chat as a template without marks writes it: finds the characters of its turns."""

    def __init__(self, template: ChatTemplate, messages: Sequence[Turn], tools: Sequence[Turn]) -> None:
        self._template, self._messages, self._tools = template, messages, tools

    def text(self, messages: Sequence[Turn] | None = None, *, prompt: bool = False) -> str:
        """Write the chat, or other messages with the same tools."""
        chosen = self._messages if messages is None else messages
        text: str = self._template.write(chosen, self._tools, tokenize=False, add_generation_prompt=prompt)
        return text

    def span(self, number: int, full: str) -> tuple[int, int]:
        """Find the characters of a turn in the whole chat, with the token that ends it.

        Raises:
            InvalidInput: The template writes turns in a way that does not tell their places.
        """
        before = self.text(self._messages[:number], prompt=True)
        after = self.text(self._messages[: number + 1]).rstrip()
        end = len(after) if full.startswith(after) else self._end(number, full, after)
        if not full.startswith(before) or end is None:
            raise InvalidInput(
                f"expected a chat template that writes each turn alike in a longer chat, got one that does not at message "
                f"{number}: put {GENERATION} and {{% endgeneration %}} around the assistant's turns in the template"
            )
        return len(before), end

    def _end(self, number: int, full: str, after: str) -> int | None:
        """Find the end of a turn that the template writes otherwise as the last one, such as without its thoughts.

        Another content in its place tells what follows it. The turn as the last one tells how turns end.
        """
        turn = self._messages[number]
        content = str(turn.get("content") or "").strip()
        other = self.text(
            [*self._messages[:number], {**turn, "content": _PLACE}, *self._messages[number + 1 :]]
        )
        _, found, behind = other.partition(_PLACE)
        _, written, ending = after.rpartition(content)
        if not (found and written and content) or not full.endswith(f"{content}{behind}"):
            return None
        return len(full) - len(behind) + len(ending) if behind.startswith(ending) else None
