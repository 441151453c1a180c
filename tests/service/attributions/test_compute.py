"""The compute thread outlives those who leave it."""

import threading

from byline_service.attributions.compute import ComputeThread
from byline_service.observability.metrics import Metrics


def test_a_call_that_nobody_waits_for_any_more_does_not_end_the_thread():
    compute = ComputeThread(batch_cost=1, threads=None, metrics=Metrics())
    entered, gate = threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        assert gate.wait(20)

    compute.start()
    first, left, last = compute.call(wait), compute.call(wait), compute.call(lambda: None)
    assert entered.wait(20)
    assert not first.cancel(), "it is under way"
    assert left.cancel()
    gate.set()
    assert last.result(20) is None
    assert first.result(20) is None
    compute.stop()
