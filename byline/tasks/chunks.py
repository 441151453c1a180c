"""Chunks of tokens that a language model is trained on. Rows are read and encoded when they are needed.

A chunk always leads back to its document: same `uri`, and the characters `start` to `end` of its text. What is kept of a
row is its place: 8 bytes for each document, another 8 for its id, and 16 for each chunk.

Shapes: T tokens.
"""

from array import array
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import JsonValue
from torch import Tensor

from byline.api.example import Example
from byline.digests import content_digest, content_id
from byline.errors import InvalidInput, InvalidTask
from byline.tasks.chats import chat_fault, first_exchange
from byline.tasks.chunk_cache import cache_file, keep_places, load_places
from byline.tasks.documents import IGNORED, PREVIEW, Document, example_of, require_text
from byline.tasks.rows import DocumentList, Documents
from byline.tasks.tokenizer import REPAIR_EMBEDDING, Tokens, beyond_embedding

TooLong = Literal["truncate", "drop", "error"]
_ROWS = 64
"""Documents that are read together."""
_CHARACTERS = 2**18
"""Characters that are encoded together, where a single document has no more."""
_CACHED = 4096
"""Chunks of a training set from which its places are kept for other processes."""
_KEPT = 2**20
"""Tokens of documents that are kept for the next chunk."""


@dataclass(frozen=True)
class ChunkOptions:
    """Options that cut documents into chunks."""

    context: int
    """Most tokens of a chunk."""
    shortest: int = 2
    """The rest at the end of a longer document is dropped where it has fewer tokens."""
    too_long: TooLong = "truncate"
    """What becomes of completions and chats that are longer than the context."""
    embedding: int | None = None
    """Rows of the model's embedding, which token ids must be below. None is not known."""


@dataclass(frozen=True)
class Encoded:
    """A document in tokens."""

    tokens_T: np.ndarray
    """int32 [T]."""
    targets_T: np.ndarray | None = None
    """bool [T]: what the loss is taken over. None for texts, which are cut into chunks and predicted whole."""
    place: Callable[[int], tuple[int, int]] | None = None
    """Token -> its first character in a text, and the one after its last. Kept only while texts are cut."""


class Chunks:
    """The training set of a language model: rows of tokens that lead back to their documents.

    Item `i` is `{"input_ids": [T], "labels": [T]}`, unpadded; labels are `IGNORED` where no loss is
    taken.
    """

    def __init__(self, documents: Documents | Sequence[Document], tokens: Tokens, cut: ChunkOptions) -> None:
        """Cut the documents: one pass over them, which keeps places alone.

        Args:
            documents: In a fixed order.
            tokens: The tokenizer.
            cut: Lengths of the chunks.

        Raises:
            InvalidTask: A document has another form, an id occurs twice, a document is too short to be learned from, or
                nothing of a completion or chat fits the context.
        """
        self._documents = DocumentList(documents) if isinstance(documents, Sequence) else documents
        self._tokens, self._cut = tokens, cut
        self._head = tokens.head
        self._recent: OrderedDict[int, Encoded] = OrderedDict()
        file = self._cache_file()
        kept = None if file is None else load_places(file, ("first_D", "places_R2", "repeats_K2"))
        if kept is None or not self._fits(kept):
            kept = self._scan()
            if file is not None and len(kept["places_R2"]) >= _CACHED:
                keep_places(file, kept)
        self._first_D, self._places_R2 = kept["first_D"], kept["places_R2"]
        self._repeats: dict[int, int] = dict(kept["repeats_K2"].tolist())

    def _cache_file(self) -> Path | None:
        """Name the file of the places, for data whose state is known without reading them."""
        state = self._documents.state
        if state is None:
            return None
        return cache_file(state, self._tokens.digest, self._cut)

    def _fits(self, kept: dict[str, np.ndarray]) -> bool:
        """Tell whether kept places are of as many documents and chunks as they say."""
        first_D, places_R2, repeats_K2 = kept["first_D"], kept["places_R2"], kept["repeats_K2"]
        shapes = first_D.ndim == 1 and places_R2.shape[1:] == repeats_K2.shape[1:] == (2,)
        return bool(shapes and len(first_D) == len(self._documents) + 1 and first_D[-1] == len(places_R2) > 0)

    def _scan(self) -> dict[str, np.ndarray]:
        """Encode every document, and keep places alone."""
        chunks, places, ids = array("q", [0]), array("q"), array("q")
        for position, document, encoded in self._all_encoded():
            ids.append(_short_id(document))
            found = self._places(encoded, position)
            for place in found:
                places.extend(place)
            chunks.append(chunks[-1] + len(found))
        if not places:
            raise InvalidTask("expected at least one document to train on, got none")
        repeats = self._checked_ids(np.asarray(ids))
        return {
            "first_D": np.asarray(chunks),
            "places_R2": np.asarray(places).reshape(-1, 2),
            "repeats_K2": np.asarray(list(repeats.items()), np.int64).reshape(-1, 2),
        }

    def __len__(self) -> int:
        return len(self._places_R2)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        position, number = self._document_of(row)
        encoded = self._cached(position)
        if encoded.targets_T is None:
            size = self._cut.context - len(self._head)
            tokens_T = np.concatenate(
                [np.asarray(self._head, np.int32), encoded.tokens_T[number * size : (number + 1) * size]]
            )
            targets_T = np.ones(len(tokens_T), bool)
        else:
            tokens_T, targets_T = (
                each[: self._cut.context] for each in (encoded.tokens_T, encoded.targets_T)
            )
        input_ids = torch.from_numpy(tokens_T.astype(np.int64))
        labels = torch.where(torch.from_numpy(targets_T), input_ids, IGNORED)
        return {"input_ids": input_ids, "labels": labels}

    def describe(self, row: int) -> Example:
        """Make `Task.describe`: the document's metadata, the chunk's place, and how it begins."""
        position, number = self._document_of(row)
        (document,) = self._documents.read(position, position + 1)
        start, end = self._places_R2[row].tolist()
        repeat = self._repeats.get(position, 1)
        name = document.id or content_id(_content(document))
        example_id = f"{name if repeat == 1 else f'{name}~{repeat}'}#{number}"
        place: dict[str, JsonValue] = {"chunk": number}
        if not document.messages:
            place |= {"start": start, "end": end}
        return example_of(document, example_id, _shown(document, start, end), place)

    def _all_encoded(self) -> Iterator[tuple[int, Document, Encoded]]:
        """Read and encode the documents in batches: the tokenizer is faster for several texts.

        Yields:
            Positions, documents and their tokens.
        """
        for start in range(0, len(self._documents), _ROWS):
            numbered = list(enumerate(self._documents.read(start, start + _ROWS), start))
            for position, document in numbered:
                require_text(document, position)
            for few in _limited(numbered):
                plain = [d.text for _, d in few if d.completion is None and not d.messages]
                encoded = map(_of_text, self._tokens.encode_all(plain))
                for position, document in few:
                    special = document.messages or document.completion is not None
                    made = self._encoded(document, position) if special else next(encoded)
                    yield position, document, made

    def _document_of(self, row: int) -> tuple[int, int]:
        """Find a row's document, and which of its chunks it is."""
        if not 0 <= row < len(self):
            raise IndexError(f"expected a row below {len(self)}, got {row}")
        position = int(np.searchsorted(self._first_D, row, side="right")) - 1
        return position, row - int(self._first_D[position])

    def _cached(self, position: int) -> Encoded:
        """Encode a document, or take it from the last ones: a long one's chunks are read one after the other."""
        if position in self._recent:
            self._recent.move_to_end(position)
            return self._recent[position]
        (document,) = self._documents.read(position, position + 1)
        encoded = self._encoded(document, position)
        self._recent[position] = Encoded(encoded.tokens_T, encoded.targets_T)
        while len(self._recent) > 1 and sum(len(e.tokens_T) for e in self._recent.values()) > _KEPT:
            self._recent.popitem(last=False)
        return encoded

    def _encoded(self, document: Document, position: int) -> Encoded:
        if document.messages:
            return self._chat(document, position)
        if document.completion is None:
            return _of_text(self._tokens.encode_all([document.text])[0])
        prompt = [*self._head, *self._tokens.encode(document.text)[0]]
        completion = self._tokens.encode(document.completion)[0]
        if not prompt or not completion:
            raise InvalidTask(
                f"expected a prompt and a completion of one token each and {self._cut.context} together, got "
                f"{len(prompt)} and {len(completion)} in the document at position {position}: leave it out"
            )
        tokens_T = np.asarray([*prompt, *completion], np.int32)
        return Encoded(tokens_T, np.arange(len(tokens_T)) >= len(prompt))

    def _chat(self, document: Document, position: int) -> Encoded:
        fault = chat_fault(document.messages, document.given)
        if fault is not None:
            raise InvalidTask(f"{fault} of the row at position {position}")
        try:
            return Encoded(*self._tokens.chat.encode(document.messages, document.given, document.tools))
        except InvalidInput as error:
            raise InvalidTask(f"{error} (the row at position {position})") from error

    def _places(self, encoded: Encoded, position: int) -> list[tuple[int, int]]:
        """Find the characters of each of a document's chunks. Chats have none."""
        fault = beyond_embedding((*self._head, *encoded.tokens_T.tolist()), self._cut.embedding)
        if fault is not None:
            raise InvalidTask(f"{fault} in the document at position {position}: {REPAIR_EMBEDDING}")
        if encoded.targets_T is None:
            return self._text_places(encoded, position)
        length, context = len(encoded.tokens_T), self._cut.context
        if length > context and self._cut.too_long == "drop":
            return []
        targets = int(encoded.targets_T[1:context].sum())
        if (length > context and self._cut.too_long == "error") or not targets:
            prompt = int((~encoded.targets_T).sum())
            raise InvalidTask(
                f"expected a prompt and a completion of one token each and {context} together, got {prompt} and "
                f"{length - prompt} in the document at position {position}: shorten the prompt, raise the context, or set "
                f"too_long='{'truncate' if targets else 'drop'}'"
            )
        return [(0, 0)]

    def _text_places(self, encoded: Encoded, position: int) -> list[tuple[int, int]]:
        head, length = len(self._head), len(encoded.tokens_T)
        size = self._cut.context - head
        assert encoded.place is not None
        if head + length < 2:
            raise InvalidTask(
                f"expected at least 2 tokens in every document, got {length} in the one at position {position}: leave it out"
            )
        found = []
        for first in range(0, length, size):
            last = min(first + size, length)
            if head + last - first < 2 or (first and last - first < self._cut.shortest):
                break  # nothing is predicted in a single token
            found.append((encoded.place(first)[0], encoded.place(last - 1)[1]))
        return found

    def _checked_ids(self, ids_D: np.ndarray) -> dict[int, int]:
        """Refuse ids that occur twice. Documents without one are told apart by how often their content came before."""
        _, first, count = np.unique(ids_D, return_index=True, return_counts=True)
        if len(first) == len(ids_D):
            return {}
        again = set(ids_D[first[count > 1]].tolist())
        seen: Counter[str] = Counter()
        owned: dict[str, int] = {}
        repeats = {}
        for position in np.flatnonzero(np.isin(ids_D, list(again))).tolist():
            (document,) = self._documents.read(position, position + 1)
            if document.id is not None and owned.setdefault(document.id, position) != position:
                raise InvalidTask(
                    f"expected {len(ids_D)} different ids, got {len(first)}: those at positions {owned[document.id]} and "
                    f"{position} are the same, and every one needs its own: repair the rows, or pass Columns(id='') for ids "
                    f"that are digests of the content"
                )
            name = document.id or content_id(_content(document))
            seen[name] += 1
            if seen[name] > 1:
                repeats[position] = seen[name]
        return repeats


def _of_text(encoding: Any) -> Encoded:
    return Encoded(np.asarray(encoding.ids, np.int32), None, encoding.token_to_chars)


def _limited(numbered: Sequence[tuple[int, Document]]) -> Iterator[list[tuple[int, Document]]]:
    """Part documents into batches of few characters: the places of their tokens take memory while they are cut.

    Yields:
        Documents with their positions, at least one.
    """
    batch: list[tuple[int, Document]] = []
    size = 0
    for position, document in numbered:
        if batch and size + len(document.text) > _CHARACTERS:
            yield batch
            batch, size = [], 0
        batch.append((position, document))
        size += len(document.text)
    if batch:
        yield batch


def _content(document: Document) -> list[object]:
    if not document.messages:
        return [document.text, document.completion]
    beside = [document.given, [dict(tool) for tool in document.tools]]
    turns: list[object] = [dict(turn) for turn in document.messages]
    return [*turns, beside] if any(beside) else turns


def _short_id(document: Document) -> int:
    """Digest what names a document to 8 bytes."""
    named = content_digest(_content(document) if document.id is None else [document.id])
    return int.from_bytes(named[:8], "little", signed=True)


def _shown(document: Document, start: int, end: int) -> str:
    """Choose what people see of a row: the question and the answer of a chat, the end of a prompt."""
    if document.messages:
        question, answer = first_exchange(document.messages, document.given)
        return f"{question[: PREVIEW // 2]}\n{answer}"
    if document.completion is not None:
        return f"{document.text[-PREVIEW // 2 :]}{document.completion}"
    return document.text[start:end]
