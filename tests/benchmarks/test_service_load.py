"""The sums of the load benchmark."""

import pytest
from safetensors.torch import load

from benchmarks.service.load.clients import Reply, Tally
from benchmarks.service.load.figures import differences, percentile, slope
from benchmarks.service.load.memory import gradients


def test_percentiles_are_values_that_were_measured():
    values = [float(value) for value in range(1, 101)]
    assert [percentile(values, each) for each in (50, 99, 100)] == [50.0, 99.0, 100.0]
    assert percentile([7.0], 99) == 7.0


def test_the_slope_of_a_line():
    assert slope([(0.0, 5.0), (10.0, 25.0), (20.0, 45.0)]) == pytest.approx(2.0)
    assert slope([(0.0, 3.0), (1.0, 3.0), (2.0, 3.0)]) == 0.0


def answer(*entries):
    return {"proponents": [{"example": {"id": name}, "score": score} for name, score in entries]}


def test_answers_are_compared_by_ids_and_scores():
    one = answer(("a", 2.0), ("b", -1.0))
    assert differences(one, one) == (True, 0.0)
    assert differences(one, answer(("a", 2.0), ("b", -0.5))) == (True, 0.25)
    assert differences(one, answer(("b", 2.0), ("a", -1.0))) == (False, 0.0)


def test_a_tally_counts_answers_refusals_and_who_forgot_retry_after():
    tally = Tally(seconds=2.0)
    for status, headers in ((200, {}), (200, {}), (503, {"retry-after": "1"}), (503, {}), (429, {})):
        tally.note(Reply(status, 0.1, headers, b""))
    assert tally.rate == 1.0
    assert tally.statuses == {200: 2, 429: 1, 503: 2}
    assert tally.without_retry == 2


def test_gradient_bodies_are_safetensors_of_the_listed_shapes():
    tensors = load(gradients({"c0/w": [3, 2], "c0/b": [5]}))
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {"c0/w": (3, 2), "c0/b": (5,)}
    assert all(bool(tensor.abs().max() < 1) for tensor in tensors.values())
