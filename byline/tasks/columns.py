"""Columns of a data set, mapped to the fields of documents."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue

from byline.declarations import kind
from byline.errors import InvalidTask
from byline.tasks.documents import Document

_TEXTS = ("text", "content")
_PAIRS = (("prompt", "completion"), ("instruction", "output"), ("prompt", "response"), ("question", "answer"))
_CHATS = ("messages", "conversations")
_METADATA = ("id", "owner", "license", "uri", "label")
_OPTIONAL = (*_METADATA, "tools")
"""Fields that take the column of their own name, where there is one."""
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,30}")
"""Names of columns that an error may show."""
_ROLES = {"human": "user", "gpt": "assistant"}
"""Names of ShareGPT's turns, `{"from": "human", "value": ...}`."""


class Columns(BaseModel):
    """Names of columns. Fields that are left out take the usual names, where the data set has such columns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str | None = None
    """Training text. Usually `text` or `content`. Rows with a `completion` beside it are prompts."""
    prompt: str | None = None
    """Text or turns of a chat before `completion`, without a loss. Usually `prompt`, `instruction` or `question`."""
    completion: str | None = None
    """Text or turns of a chat that the loss was taken over. Usually `completion`, `output`, `response` or `answer`."""
    messages: str | None = None
    """Turns of a chat, `[{"role": "user", "content": ...}, ...]`. Usually `messages` or `conversations`."""
    tools: str | None = None
    """Tools of a chat, a list of JSON schemas or the JSON text of one. Usually `tools`. An empty name takes none."""
    id: str | None = None
    """Id of a row, different for each. An empty name takes a digest of the content."""
    owner: str | None = None
    """Owner that is credited and paid. An empty name takes none."""
    license: str | None = None
    """License of a row. An empty name takes none."""
    uri: str | None = None
    """URI of a row. An empty name takes none."""
    label: str | None = None
    """Category of a row, for filters. An empty name takes none."""
    attributes: tuple[str, ...] = ()
    """Further columns, for people and for filters."""

    def fitted(self, names: Sequence[str], later: Callable[[str], bool] | None = None) -> "Columns":
        """Fill in the usual names.

        Args:
            names: Columns of the data set, or of its first row.
            later: Tells whether any row has a column, for data whose rows have columns of their own. None for a table.

        Returns:
            The mapping, with exactly one of text (perhaps with completion), prompt with completion, and messages.

        Raises:
            InvalidTask: A column is not there, or none or several fit.
        """
        chosen = self._forms_chosen() or _guessed(names, ragged=later is not None)
        optional = tuple(field for field in _OPTIONAL if field != "tools" or "text" not in chosen)
        usual = {field for field in optional if later is not None or field in names}
        named = {
            field: field if (given := getattr(self, field)) is None and field in usual else given or None
            for field in optional
        }
        made = Columns(**chosen, **named, attributes=self.attributes)
        absent = [name for name in made.used if name not in names]
        if later is not None:
            guessed = {field for field in (*_OPTIONAL, "completion") if getattr(self, field) is None}
            absent = [name for name in absent if name not in guessed and not later(name)]
        if absent:
            raise InvalidTask(f"expected a column '{absent[0]}', the data set has {_listed(names)}")
        return made

    @property
    def used(self) -> tuple[str, ...]:
        """Names of the columns that are read."""
        fields = ("text", "prompt", "completion", "messages", *_OPTIONAL)
        named = [getattr(self, field) for field in fields]
        return tuple(dict.fromkeys([*(name for name in named if name), *self.attributes]))

    def document(self, row: Mapping[str, Any], position: int) -> Document:
        """Make a document of a row.

        Args:
            row: Values by column.
            position: Of the row, for messages.

        Raises:
            InvalidTask: A value has another form.
        """
        metadata: dict[str, Any] = {
            field: _word(row, name, position) for field in _METADATA if (name := getattr(self, field))
        }
        attributes = {name: _json(row.get(name), name, position) for name in self.attributes}
        return Document(**self._content(row, position), attributes=attributes, **metadata)

    def _content(self, row: Mapping[str, Any], position: int) -> dict[str, Any]:
        """Read what the loss is taken over: a text, a prompt with its completion, or a chat."""
        if self.messages is not None:
            turns = _messages(row, self.messages, position)
            return {"messages": turns, "tools": _tools(row, self.tools, position)}
        if self.prompt is None or self.completion is None:
            beside = None if self.completion is None or row.get(self.completion) is None else self.completion
            completion = None if beside is None else _text(row, beside, position)
            return {"text": _text(row, self.text, position), "completion": completion}
        chats = [isinstance(row.get(name), list | tuple) for name in (self.prompt, self.completion)]
        if not any(chats):
            prompt, completion = (_text(row, name, position) for name in (self.prompt, self.completion))
            return {"text": prompt, "completion": completion}
        if not all(chats):
            kinds = [kind(_value(row, name, position)) for name in (self.prompt, self.completion)]
            raise InvalidTask(
                f"expected '{self.prompt}' and '{self.completion}' of every row to be two texts or two lists of messages, "
                f"got {kinds[0]} and {kinds[1]} in the row at position {position}"
            )
        given, answer = (_messages(row, name, position) for name in (self.prompt, self.completion))
        tools = _tools(row, self.tools, position)
        return {"messages": (*given, *answer), "given": len(given), "tools": tools}

    def _forms_chosen(self) -> dict[str, str]:
        fields = ("text", "prompt", "completion", "messages")
        given = {field: name for field in fields if (name := getattr(self, field))}
        forms = ({"text"}, {"text", "completion"}, {"prompt", "completion"}, {"messages"})
        if given and set(given) not in forms:
            raise InvalidTask(
                f"expected Columns with text, with prompt and completion, or with messages, got {', '.join(given)}"
            )
        return given


def _guessed(names: Sequence[str], *, ragged: bool) -> dict[str, str]:
    """Find the columns of the usual names. Rows that have columns of their own may have a completion later."""
    texts = [{"text": name} for name in _TEXTS if name in names][:1]
    pairs = [{"prompt": p, "completion": c} for p, c in _PAIRS if p in names and c in names][:1]
    chats = [{"messages": name} for name in _CHATS if name in names][:1]
    found = [*texts, *pairs, *chats]
    if len(found) != 1:
        fits = "none of the usual names" if not found else "several of the usual names"
        raise InvalidTask(
            f"expected columns text, prompt and completion, or messages, got {fits} in {_listed(names)}: pass "
            f"columns=Columns(text='...'), Columns(prompt='...', completion='...') or Columns(messages='...')"
        )
    if pairs and pairs[0]["prompt"] == "instruction" and "input" in names:
        raise InvalidTask(
            "expected one column of prompts, got instruction and input: join them into a column as in training, and pass "
            "columns=Columns(prompt='...', completion='output')"
        )
    completed = texts and (ragged or "completion" in names)
    return {**found[0], "completion": "completion"} if completed else found[0]


def _listed(names: Sequence[str]) -> str:
    """Name columns for people. In a file without a header the names are content: other than plain ones are counted."""
    plain = [name for name in names if _PLAIN.fullmatch(str(name))]
    others = len(names) - len(plain)
    if not names:
        return "no columns"
    if not plain:
        return f"{others} columns whose names are no plain words"
    some = ", ".join(f"'{name}'" for name in plain[:12]) + (", ..." if len(plain) > 12 else "")
    return f"the columns {some}{f' and {others} whose names are no plain words' if others else ''}"


def _value(row: Mapping[str, Any], name: str, position: int) -> Any:
    if name not in row:
        raise InvalidTask(
            f"expected a column '{name}' in every row, found none in the row at position {position}"
        )
    return row[name]


def _text(row: Mapping[str, Any], name: str | None, position: int) -> str:
    assert name is not None
    value = _value(row, name, position)
    if not isinstance(value, str):
        raise InvalidTask(
            f"expected '{name}' of every row to be text, got {kind(value)} in the row at position {position}: leave the row "
            f"out, or name another column"
        )
    return value


def _word(row: Mapping[str, Any], name: str, position: int) -> str | None:
    value = row.get(name)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return str(value)
    raise InvalidTask(
        f"expected '{name}' of every row to be text or a number, got {kind(value)} in the row at position {position}"
    )


def _json(value: Any, name: str, position: int) -> JsonValue:
    if (
        value is None
        or isinstance(value, str | bool | int)
        or (isinstance(value, float) and math.isfinite(value))
    ):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_json(each, name, position) for each in value]
    if isinstance(value, Mapping):
        return {str(key): _json(each, name, position) for key, each in value.items()}
    raise InvalidTask(
        f"expected '{name}' of every row to be JSON, got {kind(value)} in the row at position {position}: leave it out of "
        f"Columns.attributes"
    )


def _messages(row: Mapping[str, Any], name: str, position: int) -> tuple[Mapping[str, Any], ...]:
    turns = _value(row, name, position)
    if not isinstance(turns, Sequence) or isinstance(turns, str | bytes):
        raise InvalidTask(
            f"expected '{name}' of every row to be a list of messages, got {kind(turns)} in the row at position {position}"
        )
    if not turns:
        raise InvalidTask(
            f"expected '{name}' of every row to hold messages, got none in the row at position {position}: leave the row out"
        )
    return tuple(_turn(turn) for turn in turns)


def _tools(row: Mapping[str, Any], name: str | None, position: int) -> tuple[Mapping[str, Any], ...]:
    """Read a chat's tools, which tables often hold as JSON text."""
    tools = None if name is None else row.get(name)
    if isinstance(tools, str):
        tools = _decoded(tools)
    if tools is None:
        return ()
    if not isinstance(tools, list | tuple) or not all(isinstance(tool, Mapping) for tool in tools):
        raise InvalidTask(
            f"expected '{name}' of every row to be a list of JSON schemas or its JSON text, got something else in the row "
            f"at position {position}"
        )
    return tuple(_without_none(tool) for tool in tools)


def _decoded(text: str) -> Any:
    """Read JSON text. An empty text is no value, and other text stays."""
    try:
        return json.loads(text) if text.strip() else None
    except ValueError:
        return text


def _turn(turn: Any) -> Any:
    """Rename the fields of ShareGPT, and leave out those that a table fills with None."""
    if not isinstance(turn, Mapping):
        return turn
    if "from" in turn and "value" in turn and "role" not in turn:
        role = turn["from"]
        return {"role": _ROLES.get(role, role) if isinstance(role, str) else role, "content": turn["value"]}
    return _without_none(turn)


def _without_none(value: Any) -> Any:
    """Leave out the fields that a table fills with None, since each of its rows has the fields of all."""
    if isinstance(value, Mapping):
        return {key: _without_none(each) for key, each in value.items() if each is not None}
    return [_without_none(each) for each in value] if isinstance(value, list) else value
