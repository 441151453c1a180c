"""A switch is served at once, and a damaged version is never switched to."""

import pytest

from byline.api.versions import VersionState
from byline.errors import Conflict
from byline_service.versions import queries
from byline_service.versions.transactions import Expected
from tests.service.versions.test_directory import DAMAGES, extra, flipped, missing, stale_task
from tests.service.versions.test_follower import ADA, now, replica, to, verified


def test_a_switch_is_served_here_at_once_and_elsewhere_at_the_next_look(run, index):
    async def work(database):
        one, two = replica(database, index, index.a), replica(database, index, index.a)
        await one.follower.poll()
        await two.follower.poll()
        assert (await verified(one, index.b)).state is VersionState.VERIFIED
        first = now(one)
        record = await one.switcher.switch(ADA, "tiny", to(index.b), Expected(version=first))
        assert (now(one), now(two), record.previous) == (index.b, index.a, index.a)
        await two.follower.poll()
        assert now(two) == index.b
        await two.switcher.roll_back(ADA, "tiny", Expected(revision=record.revision))
        await one.follower.poll()
        assert now(one) == now(two) == index.a
        assert one.follower.behind == ()
        assert b'byline_alias_switches_total{alias="tiny"} 2.0' in one.metrics.text()
        for each in (one, two):
            await each.switcher.close()

    run(work)


@pytest.mark.parametrize("damage", [missing, extra, flipped, stale_task], ids=lambda damage: damage.__name__)
def test_a_version_that_cannot_be_served_is_told_and_the_old_one_goes_on(run, index, damage):
    async def work(database):
        one = replica(database, index, index.a, with_task=damage is stale_task)
        await one.follower.poll()
        assert (await verified(one, index.b)).state is VersionState.VERIFIED
        damage(index.path / index.b)
        with pytest.raises(Conflict, match="cannot be served"):
            await one.switcher.switch(ADA, "tiny", to(index.b), Expected(version=index.a))
        found = await one.switcher.find(to(index.b))
        state = VersionState.UNSERVABLE if damage is stale_task else VersionState.DAMAGED
        assert found.state is state
        assert DAMAGES[damage] in found.reason
        assert now(one) == index.a
        one.registry.current("tiny").attributor.warm()
        async with database.read() as tx:
            assert (await queries.find_alias(tx, "tiny")).version == index.a
        assert f'byline_unusable_total{{index="tiny",state="{state}"}} 1.0'.encode() in one.metrics.text()
        await one.switcher.close()

    run(work)
