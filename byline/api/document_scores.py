"""Scores of documents that are cut into several chunks: tokens of the listed chunks, summed by the document's paragraphs."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from byline.api.answer_parts import Attribution
from byline.api.documents import Document
from byline.api.token_scores import SpanScore, paragraphs
from byline.errors import InvalidQuery


class DocumentScores(Document):
    """Listed chunks of one document, put together."""

    document: str
    """Id of the document."""
    uri: str | None = None
    """URI of the document."""
    owner: str | None = None
    """Owner of the document."""
    chunks: tuple[int, ...]
    """Numbers of the listed chunks, in their order. Other chunks of the document are not counted."""
    score: float
    """Sum of the scores of these chunks."""
    spans: tuple[SpanScore, ...]
    """Parts of the score by paragraphs, or by the spans that were asked for, in characters of the whole document."""


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    """A listed chunk with its place in the document."""

    number: int
    start: int
    text: str
    """As many characters as the chunk takes in the document."""
    parts: tuple[tuple[int, float], ...]
    """First character of each token in the document, and the token's part of the score."""
    point: Attribution


def document_scores(
    points: Sequence[Attribution], spans: Sequence[tuple[int, int]] | None = None
) -> tuple[DocumentScores, ...]:
    """Put the listed chunks of each document together.

    Args:
        points: Of an answer with `tokens`. Those that are no chunk of a text are left out.
        spans: Pairs of the first character and the character after the last one, in the document. None takes the paragraphs
            of neighboring chunks together: they are cut at blank lines, and where a chunk is not listed.

    Returns:
        Documents, largest score first.

    Raises:
        InvalidQuery: The answer has no tokens.
    """
    by_document: dict[str, list[_Chunk]] = {}
    for point in {point.row: point for point in points}.values():
        if point.tokens is None:
            raise InvalidQuery("expected an answer with tokens, got one without: ask with tokens=True")
        chunk = _chunk(point)
        if chunk is not None:
            name = point.example.id.rpartition("#")[0]
            by_document.setdefault(name, []).append(chunk)
    made = [_document(name, found, spans) for name, found in by_document.items()]
    return tuple(sorted(made, key=lambda each: -each.score))


def _chunk(point: Attribution) -> _Chunk | None:
    """Find a chunk's place. None for points that are no chunk of a text."""
    number, start, end = (point.example.attributes.get(name) for name in ("chunk", "start", "end"))
    if type(number) is not int or type(start) is not int or type(end) is not int or end <= start:
        return None
    assert point.tokens is not None
    texts = point.tokens.texts or ("",) * len(point.tokens.training_parts)
    text = "".join(texts)[: end - start].ljust(end - start)  # what a service does not show has no text
    places = accumulate(map(len, texts), initial=start)
    parts = zip((min(place, end - 1) for place in places), point.tokens.training_parts, strict=False)
    return _Chunk(number=number, start=start, text=text, parts=tuple(parts), point=point)


def _document(name: str, chunks: list[_Chunk], spans: Sequence[tuple[int, int]] | None) -> DocumentScores:
    ordered = sorted(chunks, key=lambda chunk: chunk.start)
    parts = [part for chunk in ordered for part in chunk.parts]
    asked = _paragraphs(ordered) if spans is None else list(spans)
    example = ordered[0].point.example
    return DocumentScores(
        document=name,
        uri=example.uri,
        owner=example.owner,
        chunks=tuple(chunk.number for chunk in ordered),
        score=sum(chunk.point.score for chunk in ordered),
        spans=tuple(
            SpanScore(start=start, end=end, score=sum(part for at, part in parts if start <= at < end))
            for start, end in asked
        ),
    )


def _paragraphs(chunks: Sequence[_Chunk]) -> list[tuple[int, int]]:
    """Cut the texts of neighboring chunks together."""
    found: list[tuple[int, int]] = []
    runs: list[list[_Chunk]] = []
    for chunk in chunks:
        if runs and runs[-1][-1].number + 1 == chunk.number:
            runs[-1].append(chunk)
        else:
            runs.append([chunk])
    for run in runs:
        first = run[0].start
        text = ""
        for chunk in run:  # a character that two chunks share counts once, and none are missing between them
            text = text[: chunk.start - first].ljust(chunk.start - first) + chunk.text
        found += [(first + start, first + end) for start, end in paragraphs(text)]
    return found
