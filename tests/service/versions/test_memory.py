"""What a version held is given back when another one took its place."""

import asyncio
import gc
import os
import weakref
from pathlib import Path

import pytest

from byline.api.accounts import Scope
from byline_service.accounts.scopes import Caller
from byline_service.versions.transactions import Expected
from tests.service.versions.test_follower import now, replica, to, verified

ADA = Caller(key_id="k", person="ada", scopes=frozenset({Scope.ADMIN}))
SWAPS = 15


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files():
    return len(list(Path("/proc/self/fd").iterdir())) + len(Path("/proc/self/maps").read_text().splitlines())


async def swapped(one, index, times):
    for _ in range(times):
        was = now(one)
        then = index.b if was == index.a else index.a
        await one.switcher.switch(ADA, "tiny", to(then), Expected(version=was))


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_versions_with_their_models_are_freed_at_once_and_nothing_grows(run, index):
    async def work(database):
        one = replica(database, index, index.a, with_task=True)
        await one.follower.poll()
        await verified(one, index.b)
        await swapped(one, index, 6)
        gc.collect()
        gc.disable()  # nothing of weight may wait for the collector
        try:
            attributor = one.registry.current("tiny").attributor
            gone = [weakref.ref(each) for each in (attributor, attributor.index, attributor.task)]
            gone.append(weakref.ref(attributor.index.examples))
            del attributor
            await swapped(one, index, 2)
            await asyncio.sleep(0)
            assert [each() for each in gone] == [None] * 4
        finally:
            gc.enable()
        gc.collect()
        before, files = resident(), open_files()
        await swapped(one, index, SWAPS)
        gc.collect()
        assert one.registry.loaded == 1
        assert open_files() <= files + 4
        assert resident() - before < 30 << 20
        await one.switcher.close()

    run(work)
