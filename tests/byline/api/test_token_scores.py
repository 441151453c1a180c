"""Sums of tokens' scores by spans and paragraphs."""

import pytest

from byline.api.token_scores import TokenScores, paragraphs, span_scores
from byline.errors import InvalidQuery

TEXTS = ("One", " line", ".", "\n\n", "Two", " lines", ".")
SCORES = (1.0, 2.0, 0.5, 0.25, -4.0, 8.0, 0.0)


def test_tokens_count_in_the_span_that_they_begin_in():
    found = span_scores(TEXTS, SCORES, [(0, 3), (3, 10), (10, 22), (4, 5)])
    assert [each.score for each in found] == [1.0, 2.5 + 0.25, 4.0, 0.0]
    assert [(each.start, each.end) for each in found] == [(0, 3), (3, 10), (10, 22), (4, 5)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one", ["one"]),
        ("one\n\ntwo\nstill two", ["one\n\n", "two\nstill two"]),
        ("one\n \t\n\n  two\n\n", ["one\n \t\n\n  ", "two\n\n"]),
        ("", [""]),
    ],
)
def test_paragraphs_end_with_their_blank_lines(text, expected):
    assert [text[start:end] for start, end in paragraphs(text)] == expected


def test_spans_that_cover_a_text_add_up_to_the_score():
    texts, scores = (*TEXTS, ""), (*SCORES, 16.0)  # an end token has no text
    spans = paragraphs("".join(texts))
    assert sum(each.score for each in span_scores(texts, scores, spans)) == sum(scores)


def test_a_document_is_read_by_spans_where_its_texts_are_shown():
    known = TokenScores(query_parts=(1.0,), training_parts=SCORES, texts=TEXTS)
    assert known.by_span([(0, 8)])[0].score == 3.0
    with pytest.raises(InvalidQuery, match="does not show"):
        TokenScores(query_parts=(1.0,), training_parts=SCORES).by_span([(0, 8)])
