"""Texts of training tokens that leave the service: those that the training point's preview shows, and no other.

A key that may ask questions is no owner of the training set. Tokens between and around the shown ones are told together,
as one sum, so that not even their number is known.
"""

from collections.abc import Sequence
from itertools import groupby

from byline.api.answer import Answer
from byline.api.answer_parts import Attribution
from byline.api.token_scores import CopiedRun, TokenScores, paragraphs, span_scores

GAP = "…"
"""Text that stands for tokens that no preview shows."""
_LEAST = 8
"""Characters of a preview's line that is looked for alone. Shorter ones are in any text."""


def shown_answer(answer: Answer) -> Answer:
    """Hide the texts of training tokens that no preview shows.

    Args:
        answer: With or without scores of tokens.

    Returns:
        The same answer. Its parts still add up to the scores.
    """
    return answer.model_copy(
        update={"proponents": _shown_points(answer.proponents), "opponents": _shown_points(answer.opponents)}
    )


def shown_tokens(tokens: TokenScores, preview: str | None) -> TokenScores:
    """Hide the texts of one training point's tokens that its preview does not show.

    Args:
        tokens: Scores of the tokens of a text.
        preview: The training point's.

    Returns:
        The scores. Each run of hidden tokens is one token `GAP` with the sum of their parts.
    """
    parts = tokens.training_parts
    if tokens.texts is None or preview is None:
        return tokens.model_copy(
            update={
                "training_parts": (sum(parts),),
                "texts": None,
                "copied": (),
                "copied_score": None,
                "paragraphs": (),
            }
        )
    visible = _visible(tokens.texts, preview)
    groups = [list(places) for _, places in groupby(range(len(parts)), lambda at: at if visible[at] else -1)]
    place_of = {group[0]: place for place, group in enumerate(groups) if visible[group[0]]}
    texts = tuple(tokens.texts[group[0]] if visible[group[0]] else GAP for group in groups)
    sums = tuple(sum(parts[at] for at in group) for group in groups)
    runs = tuple(part for run in tokens.copied for part in _visible_runs(run, place_of))
    copied = {run.training_start + place for run in runs for place in range(run.length)}
    return tokens.model_copy(
        update={
            "training_parts": sums,
            "texts": texts,
            "copied": runs,
            "copied_score": float(sum(sums[place] for place in sorted(copied))),
            "paragraphs": span_scores(texts, sums, paragraphs("".join(texts))),
        }
    )


def _shown_points(points: Sequence[Attribution] | None) -> tuple[Attribution, ...] | None:
    return None if points is None else tuple(map(_shown_point, points))


def _shown_point(point: Attribution) -> Attribution:
    if point.tokens is None or point.tokens.grid is not None:
        return point
    return point.model_copy(update={"tokens": shown_tokens(point.tokens, point.example.preview)})


def _visible(texts: Sequence[str], preview: str) -> list[bool]:
    """Tell of each token whether all of its text lies in a part that the preview shows. One without text never does."""
    spans, at, visible = _spans("".join(texts), preview.removesuffix(GAP)), 0, []
    for text in texts:
        end = at + len(text)
        visible.append(bool(text) and any(start <= at and end <= stop for start, stop in spans))
        at = end
    return visible


def _spans(text: str, preview: str) -> list[tuple[int, int]]:
    """Find the preview in a text: as a whole, or line by line in their order."""
    if text in preview:
        return [(0, len(text))]
    spans, behind = [], 0
    for part in [preview] if preview and preview in text else preview.splitlines():
        start = text.find(part, behind)
        if start >= 0 and (part == preview or len(part) >= _LEAST):
            behind = start + len(part)
            spans.append((start, behind))
    return spans


def _visible_runs(run: CopiedRun, place_of: dict[int, int]) -> list[CopiedRun]:
    """Cut a run to the tokens that are shown."""
    offsets = {offset for offset in range(run.length) if run.training_start + offset in place_of}
    starts = sorted(offset for offset in offsets if offset - 1 not in offsets)
    ends = sorted(offset + 1 for offset in offsets if offset + 1 not in offsets)
    return [
        CopiedRun(
            query_start=run.query_start + start,
            training_start=place_of[run.training_start + start],
            length=end - start,
        )
        for start, end in zip(starts, ends, strict=True)
    ]
