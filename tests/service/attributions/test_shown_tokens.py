"""Which texts of training tokens leave the service, and what stands for the others."""

import pytest

from byline.api.token_scores import CopiedRun, TokenScores
from byline_service.attributions.shown_tokens import GAP, shown_tokens

TEXTS = ("<user> ", "who ", "wrote ", "this ", "poem", "\n<bot> ", "a ", "friend ", "of ", "mine")
TOKENS = TokenScores(
    query_parts=(1.0,),
    training_parts=tuple(float(place) for place in range(10)),
    texts=TEXTS,
    copied=(CopiedRun(query_start=2, training_start=3, length=5),),
    copied_score=25.0,
)


def test_a_whole_text_is_shown() -> None:
    shown = shown_tokens(TOKENS, "".join(TEXTS))
    assert shown.texts == TEXTS
    assert shown.training_parts == TOKENS.training_parts
    assert shown.copied == TOKENS.copied
    assert shown.copied_score == 25


def test_hidden_tokens_are_one_sum_between_the_shown_ones() -> None:
    """A preview of two parts, as of a chat, the second one cut within a word."""
    shown = shown_tokens(TOKENS, "who wrote this poem\na friend o…")
    assert shown.texts == (GAP, "who ", "wrote ", "this ", "poem", GAP, "a ", "friend ", GAP)
    assert shown.training_parts == (0, 1, 2, 3, 4, 5, 6, 7, 8 + 9)
    assert shown.copied == (
        CopiedRun(query_start=2, training_start=3, length=2),
        CopiedRun(query_start=5, training_start=6, length=2),
    )
    assert shown.copied_score == 3 + 4 + 6 + 7
    assert sum(each.score for each in shown.paragraphs) == 45


@pytest.mark.parametrize("preview", ["[redacted]", "", "…", "no\na\nof\n"])
def test_a_preview_of_other_words_shows_none(preview: str) -> None:
    shown = shown_tokens(TOKENS, preview)
    assert shown.texts == (GAP,)
    assert shown.training_parts == (45,)
    assert shown.copied == ()
    assert shown.copied_score == 0


def test_without_a_preview_not_even_the_number_of_tokens_is_told() -> None:
    shown = shown_tokens(TOKENS, None)
    assert shown.texts is None
    assert shown.training_parts == (45,)
    assert shown.copied_score is None
