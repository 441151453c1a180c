"""What other threads post arrives in the loop's thread, in order, with one wake-up for what comes together."""

import asyncio
import threading
from functools import partial

from byline_service.attributions.compute import LoopCallbacks


def test_what_comes_together_arrives_in_order_and_wakes_the_loop_once():
    woken = []

    async def run():
        loop = asyncio.get_running_loop()
        real = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = lambda *given: woken.append(1) or real(*given)
        arrivals, seen, done = LoopCallbacks(loop), [], asyncio.Event()

        def post():
            for number in range(100):
                arrivals.post(partial(seen.append, (number, threading.get_ident)))
            arrivals.post(done.set)

        thread = threading.Thread(target=post)
        thread.start()
        thread.join()  # the loop cannot look before all have come
        await done.wait()
        return [number for number, _ in seen]

    assert asyncio.run(run()) == list(range(100))
    assert len(woken) == 1


def test_what_is_posted_while_others_arrive_is_not_lost():
    async def run():
        arrivals, done = LoopCallbacks(asyncio.get_running_loop()), asyncio.Event()
        left = [5_000]

        def count():
            left[0] -= 1
            if not left[0]:
                done.set()

        threads = [
            threading.Thread(target=lambda: [arrivals.post(count) for _ in range(1_000)]) for _ in range(5)
        ]
        for thread in threads:
            thread.start()
        async with asyncio.timeout(10):
            await done.wait()

    asyncio.run(run())


def test_a_loop_that_has_ended_is_left_alone():
    loop = asyncio.new_event_loop()
    loop.close()
    LoopCallbacks(loop).post(lambda: None)
