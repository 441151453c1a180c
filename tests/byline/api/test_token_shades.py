"""Shades, the strongest tokens, and the sentence about copies."""

from byline.api.token_scores import CopiedRun, TokenScores
from byline.api.token_shades import (
    copied_sentence,
    query_shades,
    rest_sentence,
    shades,
    strongest,
    training_shades,
)

SCORES = TokenScores(
    query_parts=(0.0, 2.0, -1.0),
    training_parts=(0.0, 4.0, -3.0),
    texts=("a", " b", " c"),
    copied=(CopiedRun(query_start=0, training_start=1, length=2),),
    copied_score=1.0,
)


def test_levels_are_relative_to_the_largest_part():
    assert [each.level for each in shades("abcd", (10.0, -10.0, 2.1, 0.1))] == [5, -5, 1, 0]
    assert [each.level for each in shades("ab", (0.0, 0.0))] == [0, 0]


def test_copied_tokens_are_marked_on_both_sides():
    assert [each.copied for each in query_shades(SCORES, ("x", "y", "z"))] == [True, True, False]
    assert [each.copied for each in training_shades(SCORES)] == [False, True, True]


def test_the_strongest_are_sorted_by_size_and_have_words():
    found = strongest(shades((" ", "b", "c", "d"), (9.0, 1.0, -8.0, 0.0)))
    assert [each.text for each in found] == ["c", "b"]


def test_hidden_texts_are_not_shaded():
    assert training_shades(SCORES.model_copy(update={"texts": None})) is None


def test_copied_and_learned_stand_side_by_side():
    assert copied_sentence(SCORES, 1.5) == (
        "Word for word in both: +1 of +1.5. Learned from other words: +0.5."
    )
    assert copied_sentence(SCORES.model_copy(update={"copied": ()}), 1.5) is None


def test_patches_are_named_by_row_and_column():
    patches = TokenScores(
        query_parts=(0.0, 1.0, -2.0, 0.0),
        training_parts=(4.0, 0.0, 0.0, 0.0),
        grid=(2, 2),
        query_rest=0.5,
        training_rest=-0.25,
    )
    assert [each.text for each in query_shades(patches, ())] == ["1:1", "1:2", "2:1", "2:2"]
    assert [each.text for each in strongest(training_shades(patches))] == ["1:1"]
    assert rest_sentence(patches) == "In no patch: +0.5 of the query, -0.25 of the training image."
    assert rest_sentence(SCORES) is None
