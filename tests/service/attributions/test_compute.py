"""The compute thread outlives those who leave it, and what it posts arrives in the loop's thread, in order."""

import asyncio
import threading
from functools import partial

from byline_service.attributions.compute import ComputeThread, LoopCallbacks
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


def test_what_comes_together_arrives_in_order_and_wakes_the_loop_once():
    woken = []

    async def run():
        loop = asyncio.get_running_loop()
        real = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = lambda *given: woken.append(1) or real(*given)
        callbacks, seen, done = LoopCallbacks(loop), [], asyncio.Event()

        def post():
            for number in range(100):
                callbacks.post(partial(seen.append, (number, threading.get_ident)))
            callbacks.post(done.set)

        thread = threading.Thread(target=post)
        thread.start()
        thread.join()  # the loop cannot look before all have come
        await done.wait()
        return [number for number, _ in seen]

    assert asyncio.run(run()) == list(range(100))
    assert len(woken) == 1


def test_what_is_posted_while_others_arrive_is_not_lost():
    async def run():
        callbacks, done = LoopCallbacks(asyncio.get_running_loop()), asyncio.Event()
        left = [5_000]

        def count():
            left[0] -= 1
            if not left[0]:
                done.set()

        threads = [
            threading.Thread(target=lambda: [callbacks.post(count) for _ in range(1_000)]) for _ in range(5)
        ]
        for thread in threads:
            thread.start()
        async with asyncio.timeout(10):
            await done.wait()
        return left[0]

    assert asyncio.run(run()) == 0


def test_a_loop_that_has_ended_is_left_alone():
    loop, called = asyncio.new_event_loop(), []
    callbacks = LoopCallbacks(loop)
    loop.close()
    callbacks.post(partial(called.append, 1))  # without the check, asyncio raises "Event loop is closed"
    callbacks.post(partial(called.append, 2))
    assert called == []
