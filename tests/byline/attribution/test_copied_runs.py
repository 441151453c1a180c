"""Longest shared runs of tokens, against a search over all pairs of places."""

import random
import time

import pytest

from byline.attribution.copied_runs import copied_runs


def words(text):
    return text.split()


def test_a_shared_stretch_is_found_as_a_whole():
    query = words("she said the cat sat on the mat today")
    training = words("once the cat sat on the mat alone and the cat ran")
    (run,) = copied_runs(query, training)
    assert query[run.query_start :][: run.length] == words("the cat sat on the mat")
    assert training[run.training_start :][: run.length] == words("the cat sat on the mat")


def test_short_stretches_and_blanks_are_none():
    assert copied_runs(words("a b c x"), words("a b c y")) == []
    assert copied_runs([" "] * 8, [" "] * 8) == []
    assert copied_runs([], words("a b c d")) == []
    assert len(copied_runs(words("a b c x"), words("a b c y"), shortest=3)) == 1


@pytest.mark.parametrize("seed", range(20))
def test_runs_are_equal_longest_and_apart(seed):
    generator = random.Random(seed)
    query, training = ([generator.choice("ab") for _ in range(25)] for _ in range(2))
    runs = copied_runs(query, training)
    taken = [run.training_start + place for run in runs for place in range(run.length)]
    assert len(taken) == len(set(taken))
    for run in runs:
        at = run.training_start
        assert query[run.query_start :][: run.length] == training[at:][: run.length]
        longest = max(
            next((n for n in range(25) if query[q:][:n] != training[at:][:n]), 25) - 1 for q in range(25)
        )
        assert run.length == min(longest, len(training) - at)
    free = [at for at in range(len(training) - 3) if not set(range(at, at + 4)) & set(taken)]
    for at in free:
        assert all(query[q : q + 4] != training[at : at + 4] for q in range(len(query) - 3))


@pytest.mark.parametrize("token", ["a", " "])
def test_texts_of_one_repeated_token_take_no_time(token):
    begun = time.process_time()
    runs = copied_runs([token] * 4_000, [token] * 4_000)
    assert time.process_time() - begun < 3, "each pair of places was compared to its end"
    assert [run.length for run in runs] == ([4_000] if token.strip() else [])
    assert len(copied_runs([token] * 1_000 + ["b"], [*[token] * 999, "c"] * 4)) == (4 if token.strip() else 0)
