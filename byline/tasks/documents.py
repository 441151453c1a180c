"""Documents, and the chunks of tokens that a language model is trained on.

A chunk always leads back to its document: same `uri`, and the characters `start` to `end` of its
text.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from pydantic import JsonValue
from torch import Tensor

from byline.api.example import LONE_SURROGATE, Example
from byline.declarations import kind, require_list
from byline.digests import content_id
from byline.errors import InvalidTask
from byline.tasks.training_data import distinct, require_distinct

IGNORED = -100
"""Label of a token that is not a target: prompts and padding."""
PREVIEW = 400
"""Characters of a chunk that are kept for people."""

Encode = Callable[[str], tuple[list[int], list[tuple[int, int]]]]
"""`text -> (tokens, (start, end) of each token in characters)`, without special tokens."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text with its owner, as a user hands it in."""

    text: str
    """Training text. The prompt, where there is a completion."""
    completion: str | None = None
    """Completion of the text, for models whose loss was taken over completions only."""
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
        _require_text(document, position)
    require_distinct([document.id for document in documents])
    return distinct([d.id or content_id(list(c)) for d, c in zip(documents, contents, strict=True)])


def _require_text(document: Document, position: int) -> None:
    """Require that a document's texts are valid input of a tokenizer."""
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


@dataclass(frozen=True)
class Chunk:
    """The origin of a row."""

    document: int
    """Position of the document."""
    number: int
    """Position of the chunk in its document."""
    start: int
    """First character of the document's text that is in the chunk."""
    end: int
    """Character after the last one."""


class Chunks:
    """The training set of a language model: rows of tokens that lead back to their documents.

    Item `i` is `{"input_ids": [T], "labels": [T]}`, unpadded; labels are `IGNORED` where no loss is
    taken.
    """

    def __init__(self, documents: Sequence[Document], encode: Encode, cut: "ChunkOptions") -> None:
        """Cut the documents.

        Args:
            documents: In a fixed order.
            encode: The tokenizer.
            cut: Lengths of the chunks.

        Raises:
            InvalidTask: An id occurs twice, a document is too short to be learned from, or a prompt
                with its completion is longer than the context.
        """
        self.documents = documents
        self._ids = document_ids(documents, [(d.text, d.completion) for d in documents])
        self.chunks: list[Chunk] = []
        self._rows: list[tuple[np.ndarray, int]] = []
        for position, document in enumerate(documents):
            if document.completion is None:
                self._cut_text(position, encode, cut)
            else:
                self._add_completion(position, encode, cut)
        if not self.chunks:
            raise InvalidTask("expected at least one document to train on, got none")

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        tokens, prompt = self._rows[row]
        input_ids = torch.from_numpy(tokens.astype(np.int64))
        labels = input_ids.clone()
        labels[:prompt] = IGNORED
        return {"input_ids": input_ids, "labels": labels}

    def describe(self, row: int) -> Example:
        """Make `Task.describe`: the document's metadata, the chunk's place, and how it begins."""
        chunk = self.chunks[row]
        document = self.documents[chunk.document]
        text = document.text[chunk.start : chunk.end]
        if document.completion is not None:
            text = f"{text[-PREVIEW // 2 :]}{document.completion}"
        place: dict[str, JsonValue] = {"chunk": chunk.number, "start": chunk.start, "end": chunk.end}
        return example_of(document, f"{self._ids[chunk.document]}#{chunk.number}", text, place)

    def _cut_text(self, position: int, encode: Encode, cut: "ChunkOptions") -> None:
        text = self.documents[position].text
        tokens, spans = encode(text)
        head = cut.head
        if len(head) + len(tokens) < 2:
            raise InvalidTask(
                f"expected at least 2 tokens in every document, got {len(tokens)} in the one at "
                f"position {position}: leave it out"
            )
        size = cut.context - len(head)
        for number, first in enumerate(range(0, len(tokens), size)):
            last = min(first + size, len(tokens))
            if len(head) + last - first < 2:
                break  # nothing is predicted in a single token
            if number and last - first < cut.shortest:
                break
            self.chunks.append(Chunk(position, number, spans[first][0], spans[last - 1][1]))
            self._rows.append((np.asarray([*head, *tokens[first:last]], np.int32), 0))

    def _add_completion(self, position: int, encode: Encode, cut: "ChunkOptions") -> None:
        document = self.documents[position]
        prompt = [*cut.head, *encode(document.text)[0]]
        completion = encode(document.completion or "")[0]
        length = len(prompt) + len(completion)
        if not prompt or not completion or length > cut.context:
            raise InvalidTask(
                f"expected a prompt and a completion of one token each and {cut.context} together, "
                f"got {len(prompt)} and {len(completion)} in the document at position {position}: "
                "shorten the prompt"
            )
        self.chunks.append(Chunk(position, 0, 0, len(document.text)))
        self._rows.append((np.asarray(prompt + completion, np.int32), len(prompt)))


@dataclass(frozen=True)
class ChunkOptions:
    """Options that cut documents into chunks."""

    context: int
    """Most tokens of a chunk."""
    head: tuple[int, ...] = ()
    """Tokens that every chunk begins with, such as the tokenizer's start token."""
    shortest: int = 2
    """The rest at the end of a longer document is dropped where it has fewer tokens."""
