"""Scores token by token in the terminal."""

import io

from rich.console import Console

from byline.api.token_scores import CopiedRun, TokenScores
from byline_indexer.cli.token_lines import token_lines
from tests.byline.api.answers import answer, point


def drawn(tokens, **options):
    told = point(1, 2.0).model_copy(update={"tokens": tokens})
    shown = answer(proponents=(told,), opponents=None, query_tokens=("the", " cat"))
    console = Console(record=True, width=100, file=io.StringIO(), **options)
    for line in token_lines(shown):
        console.print(line)
    return console.export_text(styles=bool(options))


TOKENS = TokenScores(
    query_parts=(0.0, 2.0),
    training_parts=(0.5, -3.0, 4.5),
    texts=("a", " dog", "\x1b[31m!"),
    copied=(CopiedRun(query_start=0, training_start=1, length=1),),
    copied_score=-3.0,
)


def test_both_texts_their_strongest_tokens_and_copies_are_told_without_color():
    text = drawn(TOKENS)
    assert "the cat" in text
    assert "cat +2" in text
    assert "dog -3" in text
    assert "Word for word in both: -3" in text
    assert "\x1b" not in text, "training texts cannot move the cursor"


def test_colors_and_marks():
    text = drawn(TOKENS, force_terminal=True, color_system="truecolor")
    assert "\x1b[4;3;" in text or "\x1b[3;4;" in text, "a copied token that lowers is underlined and italic"


def test_a_point_without_texts_says_so():
    hidden = TOKENS.model_copy(update={"texts": None, "copied": ()})
    assert "shows no text" in drawn(hidden)


def test_answers_without_tokens_have_no_lines():
    assert list(token_lines(answer())) == []


def test_patches_are_a_grid_with_signs():
    patches = TokenScores(
        query_parts=(0.0, 1.0, -2.0, 0.0), training_parts=(4.0, 0.0, 0.0, 0.0), grid=(2, 2), query_rest=0.5
    )
    text = drawn(patches)
    assert " .  + \n -  . " in text
    assert "2:1 -2" in text
    assert "In no patch: +0.5" in text
