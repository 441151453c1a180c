"""Documents that a language model was trained on: texts, completions of prompts, and chats, with their owners."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from byline.api.example import LONE_SURROGATE, Example
from byline.declarations import kind, require_list
from byline.digests import content_id
from byline.errors import InvalidTask
from byline.tasks.training_data import distinct, require_distinct

IGNORED = -100
"""Label of a token that is not a target: prompts and padding."""
PREVIEW = 400
"""Characters of a chunk that are kept for people."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text with its owner, as a user hands it in."""

    text: str = ""
    """Training text. The prompt, where there is a completion."""
    completion: str | None = None
    """Completion of the text, for models whose loss was taken over completions only."""
    messages: Sequence[Mapping[str, Any]] = ()
    """Turns of a chat in place of a text, `{"role": "user", "content": ...}` each. The tokenizer's chat template writes
    them, and the loss is taken over the assistant's turns."""
    given: int = 0
    """Turns at the beginning of the chat that are a prompt: no loss is taken over the assistant's turns among them."""
    tools: Sequence[Mapping[str, Any]] = ()
    """Tools of a chat as JSON schemas, which the chat template may write."""
    id: str | None = None
    """The user's own, different for each document. None takes a digest of the content."""
    owner: str | None = None
    """Owner that is credited and paid."""
    license: str | None = None
    """SPDX expression or the license's own words."""
    uri: str | None = None
    """URI of the document."""
    label: str | None = None
    """A category, for filters."""
    attributes: Mapping[str, JsonValue] = field(default_factory=dict)
    """Further attributes, for people and for filters."""

    def __post_init__(self) -> None:
        for name in ("messages", "tools"):
            if isinstance(getattr(self, name), list):  # as JSON reads a tuple
                object.__setattr__(self, name, tuple(getattr(self, name)))


def document_ids(documents: Sequence[Document], contents: Sequence[Sequence[str | None]]) -> list[str]:
    """Name documents: by the user's own ids, or by a digest.

    Args:
        documents: In row order.
        contents: Values that each digest is made of, where a document has no id.

    Returns:
        As many different ids.

    Raises:
        InvalidTask: One of the user's own ids occurs twice.
    """
    require_list("documents", documents, Document, "Documents")
    for position, document in enumerate(documents):
        require_text(document, position)
    require_distinct([document.id for document in documents])
    return distinct([d.id or content_id(list(c)) for d, c in zip(documents, contents, strict=True)])


def require_text(document: Document, position: int) -> None:
    """Require that a document's texts are valid input of a tokenizer.

    Args:
        document: The document.
        position: Of the document, for messages.

    Raises:
        InvalidTask: One is none.
    """
    for name in ("text", "completion", "id", "owner", "license", "uri", "label"):
        value = getattr(document, name)
        if value is None and name != "text":
            continue
        if not isinstance(value, str):
            raise InvalidTask(
                f"expected '{name}' of every document to be text, got {kind(value)} in the one at position {position}"
            )
        if not value.isascii() and LONE_SURROGATE.search(value):
            raise InvalidTask(
                f"expected '{name}' of every document to be valid Unicode, got a lone surrogate in the one at position "
                f"{position}: read files with errors='replace'"
            )


def example_of(
    document: Document, example_id: str, text: str, place: Mapping[str, JsonValue] | None = None
) -> Example:
    """Describe a row: its document's metadata, and how its text begins.

    Args:
        document: The row's document.
        example_id: The row's own.
        text: The row's text.
        place: Further attributes.

    Returns:
        The example.
    """
    return Example(
        id=example_id,
        owner=document.owner,
        license=document.license,
        uri=document.uri,
        label=document.label,
        preview=text[:PREVIEW],
        attributes={**document.attributes, **(place or {})},
    )
