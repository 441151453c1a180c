"""The example of a collective licence, from index to payment."""

import os
import re

import pytest

from examples.collective_licence.task import HELD_OUT, WRITERS, songs


def test_songs_are_made_up_the_same_each_time():
    features_N, labels_N, writers = songs()
    again, _, _ = songs()
    assert (features_N == again).all()
    assert len(features_N) == len(labels_N) == len(writers) == sum(WRITERS.values()) + HELD_OUT


@pytest.mark.slow
def test_from_index_to_payment(tmp_path, request, forks):
    words = ["examples.collective_licence.demo", "--folder", str(tmp_path)]
    done = forks.run(words, request.config.rootpath, os.environ, seconds=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"(Ash|Birch|Cedar|Elm) +120\.00", done.stdout)) == 4
    assert "divided by the policy's fallback: 3" in done.stdout
    assert "every recomputed statement is the same" in done.stdout
