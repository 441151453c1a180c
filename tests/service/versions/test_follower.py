"""Replicas serve what the database says, whoever said it, and go on with what they have when it cannot be followed."""

import asyncio
from datetime import date
from types import SimpleNamespace

import pytest

from byline.api.accounts import Scope
from byline.api.quality_card import Measurement, MeasurementProtocol
from byline.api.versions import VersionState
from byline.errors import DatabaseUnavailable, NotFound
from byline.index.quality_card import add_measurement
from byline_service.accounts.scopes import Caller
from byline_service.observability.metrics import Metrics
from byline_service.versions import queries, transactions
from byline_service.versions.follower import Follower
from byline_service.versions.opener import Opener
from byline_service.versions.records import VersionFacts
from byline_service.versions.registry import Registry
from byline_service.versions.switcher import Switcher
from byline_service.versions.transactions import Expected
from tests.service.versions.building import directory, flip

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
ADA = Caller(key_id="k", person="ada", scopes=frozenset({Scope.ADMIN}))


def replica(database, index, version, *, with_task=False):
    """A process that serves a version of a directory, and follows."""
    lies_in = directory(index.folder, with_task=with_task)
    registry, metrics = Registry({"tiny": lies_in.open(version)}), Metrics()
    opener = Opener({"tiny": lies_in})
    switcher = Switcher(database=database, registry=registry, opener=opener, metrics=metrics)
    follower = Follower(switcher, 0.02)
    return SimpleNamespace(registry=registry, switcher=switcher, follower=follower, metrics=metrics)


def now(replica, name="tiny"):
    return replica.registry.current(name).version


async def verified(replica, version):
    await replica.switcher.register(ADA, "tiny", version)
    await replica.switcher.begin_verification(ADA, "tiny", version)
    facts = VersionFacts(index="tiny", version=version)
    async with asyncio.timeout(20):
        while (found := await replica.switcher.find(facts)).heard_at is not None:
            await asyncio.sleep(0.01)
    return found


def to(version):
    return VersionFacts(index="tiny", version=version)


def test_the_first_look_adopts_what_is_served_and_then_the_row_decides(run, index):
    async def work(database):
        one = replica(database, index, index.a)
        await one.follower.poll()
        async with database.read() as tx:
            found = await queries.find_alias(tx, "tiny")
            known = await queries.find_version(tx, "tiny", index.a)
        assert (found.version, known.state) == (index.a, VersionState.VERIFIED)
        two = replica(database, index, index.b)
        await two.follower.poll()
        assert now(two) == index.a
        for each in (one, two):
            await each.switcher.close()

    run(work)


def test_a_replica_with_a_damaged_copy_stays_with_the_old_one_until_it_is_repaired(run, index):
    async def work(database):
        one = replica(database, index, index.a)
        await one.follower.poll()
        await verified(one, index.b)
        await transactions.switch(database, ADA, "tiny", to(index.b), Expected(version=index.a))
        whole = (index.path / index.b / "search.faiss").read_bytes()
        flip(index.path / index.b / "search.faiss")
        for _ in range(3):
            await one.follower.poll()
        assert (now(one), one.follower.behind) == (index.a, ("tiny",))
        assert (await one.switcher.find(to(index.b))).state is VersionState.DAMAGED
        assert b'byline_unusable_total{index="tiny",state="damaged"} 1.0' in one.metrics.text()
        (index.path / index.b / "search.faiss").write_bytes(whole)
        assert (await verified(one, index.b)).state is VersionState.VERIFIED
        await one.follower.poll()
        assert (now(one), one.follower.behind) == (index.b, ())
        await one.switcher.close()

    run(work)


def test_a_version_that_is_not_delivered_yet_is_no_fault_of_it(run, index):
    async def work(database):
        one = replica(database, index, index.a)
        await one.follower.poll()
        await verified(one, index.b)
        (index.path / index.b).rename(index.folder / "elsewhere")
        await transactions.switch(database, ADA, "tiny", to(index.b), Expected(version=index.a))
        await one.follower.poll()
        assert (now(one), one.follower.behind) == (index.a, ("tiny",))
        assert (await one.switcher.find(to(index.b))).state is VersionState.VERIFIED
        with pytest.raises(NotFound):
            await one.switcher.begin_verification(ADA, "tiny", index.b)
        await one.switcher.close()

    run(work)


def test_a_damaged_manifest_is_told_when_it_is_registered(run, index):
    async def work(database):
        flip(index.path / index.b / "manifest.json", 40)
        one = replica(database, index, index.a)
        record = await one.switcher.register(ADA, "tiny", index.b)
        assert (record.state, record.manifest_digest) == (VersionState.DAMAGED, None)
        flip(index.path / index.b / "manifest.json", 40)
        found = await verified(one, index.b)
        assert found.state is VersionState.VERIFIED
        assert found.manifest_digest is not None
        await one.switcher.close()

    run(work)


def test_without_its_database_a_replica_goes_on_and_catches_up(run, index, monkeypatch):
    async def work(database):
        one = replica(database, index, index.a)
        await one.follower.poll()
        await verified(one, index.b)

        def gone():
            raise DatabaseUnavailable("gone")

        with monkeypatch.context() as patched:
            patched.setattr(database, "read", gone)
            patched.setattr(database, "begin", gone)
            following = asyncio.create_task(one.follower.run())
            await asyncio.sleep(0.1)
            assert not following.done()
            assert now(one) == index.a
            one.registry.current("tiny").attributor.warm()
            with pytest.raises(DatabaseUnavailable):
                await one.switcher.switch(ADA, "tiny", to(index.b), Expected(version=index.a))
        await transactions.switch(database, ADA, "tiny", to(index.b), Expected(version=index.a))
        await until(lambda: now(one) == index.b)
        following.cancel()
        await one.switcher.close()

    run(work)


def test_aliases_share_a_version_and_go_when_they_are_deleted(run, index):
    async def work(database):
        one, two = replica(database, index, index.a), replica(database, index, index.a)
        await one.follower.poll()
        await one.switcher.switch(ADA, "staging", to(index.a), Expected())
        assert one.registry.current("staging") is one.registry.current("tiny")
        await two.follower.poll()
        assert now(two, "staging") == index.a
        await one.switcher.delete(ADA, "staging", Expected(version=index.a))
        await two.follower.poll()
        for each in (one, two):
            assert "staging" not in each.registry.served
            await each.switcher.close()

    run(work)


def test_a_quality_card_is_read_when_it_appears_and_when_it_changes(run, index):
    def measure(served, value):
        protocol = MeasurementProtocol(target="loss", queries=10)
        new = Measurement(
            metric="lds",
            title="LDS",
            statistic="mean",
            value=value,
            sample="10 queries",
            protocol=protocol,
            measured=date(2026, 1, 31),
        )
        add_measurement(served.folder, served.attributor.index.manifest, new)

    async def work(database):
        one = replica(database, index, index.a)
        served = one.registry.current("tiny")
        following = asyncio.create_task(one.follower.run())
        await asyncio.sleep(0.05)
        assert served.attributor.index.quality.card is None
        for value in (0.5, 0.25):
            measure(served, value)
            await until(lambda: served.attributor.index.quality.card is not None)
            await until(lambda v=value: served.attributor.index.quality.card.measurements[0].value == v)
        following.cancel()
        await one.switcher.close()

    run(work)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)
