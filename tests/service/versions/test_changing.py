"""Changes of versions and aliases: one wins, nothing is half done, everything is written down. On both databases."""

import asyncio
from contextlib import suppress

import pytest
from sqlalchemy import text

from byline.errors import BylineError, Conflict, InvalidInput, NotFound
from service.access.scopes import Caller, Scope
from service.repositories import audit, versions
from service.versions import changing
from service.versions.changing import Expected
from service.versions.errors import StaleAlias
from service.versions.records import State, VersionFacts

ADA = Caller(key_id="k", person="ada", scopes=frozenset({Scope.ADMIN}))


def facts(version, index="digits", digest="a"):
    return VersionFacts(
        index=index, version=version, manifest_digest=digest * 64, recipe="ekfac", recipe_fingerprint="f" * 64
    )


A, B, C = facts("a"), facts("b"), facts("c")


async def known(database, *wanted):
    for each in wanted:
        await changing.register(database, ADA, each)
        await changing.begin_check(database, each)
        await changing.verified(database, ADA, each)


async def alias(database, name="digits"):
    async with database.read() as tx:
        return await versions.find_alias(tx, name)


async def version(database, of):
    async with database.read() as tx:
        return await versions.find_version(tx, of.index, of.version)


async def actions(database):
    async with database.read() as tx:
        return [(line["action"], line["subject"]) for line in await audit.page(tx, None, 1000)][::-1]


def test_the_life_of_a_version(run):
    async def work(database):
        assert (await changing.register(database, ADA, A)).state is State.REGISTERED
        with pytest.raises(Conflict, match="verify it first"):
            await changing.switch(database, ADA, "digits", A, Expected())
        begun = await changing.begin_check(database, A)
        assert begun.heard_at is not None
        with pytest.raises(Conflict, match="being verified"):
            await changing.begin_check(database, A)
        await changing.note_progress(database, A, 5, 9)
        assert (await version(database, A)).checked_bytes == 5
        done = await changing.verified(database, ADA, A)
        assert (done.state, done.heard_at) == (State.VERIFIED, None)
        await changing.switch(database, ADA, "digits", A, Expected())
        with pytest.raises(Conflict, match="digits stands for this version"):
            await changing.retire(database, ADA, A)
        await known(database, B)
        await changing.switch(database, ADA, "digits", B, Expected(version="a"))
        assert (await changing.retire(database, ADA, A)).state is State.RETIRED
        with pytest.raises(Conflict, match="retired"):
            await changing.begin_check(database, A)
        with pytest.raises(Conflict, match="it is retired"):
            await changing.roll_back(database, ADA, "digits", Expected(version="b"))
        assert (await changing.register(database, ADA, A)).state is State.REGISTERED
        assert await actions(database) == [
            ("versions.register", "digits/a"),
            ("versions.verify", "digits/a"),
            ("aliases.create", "digits"),
            ("versions.register", "digits/b"),
            ("versions.verify", "digits/b"),
            ("aliases.switch", "digits"),
            ("versions.retire", "digits/a"),
            ("versions.register", "digits/a"),
        ]

    run(work)


def test_the_same_again_changes_nothing(run):
    async def work(database):
        await known(database, A)
        before = await version(database, A)
        assert await changing.register(database, ADA, A) == before
        first = await changing.switch(database, ADA, "digits", A, Expected())
        assert await changing.switch(database, ADA, "digits", A, Expected(version="a")) == first
        assert await changing.quarantine(database, ADA, A, "flipped")
        assert not await changing.quarantine(database, ADA, A, "flipped")

    run(work)


def test_other_files_under_a_served_name_are_refused(run):
    async def work(database):
        await known(database, A)
        await changing.switch(database, ADA, "digits", A, Expected())
        other = facts("a", digest="b")
        with pytest.raises(Conflict, match="other files"):
            await changing.register(database, ADA, other)
        await known(database, B)
        await changing.switch(database, ADA, "digits", B, Expected(version="a"))
        renewed = await changing.register(database, ADA, other)
        assert (renewed.state, renewed.manifest_digest) == (State.REGISTERED, "b" * 64)

    run(work)


def test_a_version_in_quarantine_is_not_switched_to_until_it_is_verified_again(run):
    async def work(database):
        await known(database, A, B)
        await changing.switch(database, ADA, "digits", A, Expected())
        assert await changing.quarantine(database, ADA, B, "search.faiss: is missing")
        with pytest.raises(Conflict, match="quarantined"):
            await changing.switch(database, ADA, "digits", B, Expected(version="a"))
        await changing.begin_check(database, B)
        assert (await changing.verified(database, ADA, B)).reason is None
        await changing.switch(database, ADA, "digits", B, Expected(version="a"))

    run(work)


def test_roll_back_returns_and_returns_again(run):
    async def work(database):
        await known(database, A, B)
        await changing.switch(database, ADA, "digits", A, Expected())
        with pytest.raises(Conflict, match="nothing to return to"):
            await changing.roll_back(database, ADA, "digits", Expected(version="a"))
        await changing.switch(database, ADA, "digits", B, Expected(version="a"))
        back = await changing.roll_back(database, ADA, "digits", Expected(version="b"))
        assert (back.version, back.previous) == ("a", "b")
        with pytest.raises(Conflict, match="found version a"):
            await changing.roll_back(database, ADA, "digits", Expected(version="b"))
        again = await changing.roll_back(database, ADA, "digits", Expected(revision=back.revision))
        assert (again.version, again.previous) == ("b", "a")
        async with database.read() as tx:
            changes = await versions.list_changes(tx, "digits", None, 2)
            rest = await versions.list_changes(tx, "digits", changes[-1].id, 100)
        assert [each.action for each in [*changes, *rest]] == ["rollback", "rollback", "switch", "create"]
        assert {each.person for each in changes} == {"ada"}

    run(work)


def test_an_etag_notices_a_change_there_and_back(run):
    async def work(database):
        await known(database, A, B)
        first = await changing.switch(database, ADA, "digits", A, Expected())
        await changing.switch(database, ADA, "digits", B, Expected(version="a"))
        await changing.switch(database, ADA, "digits", A, Expected(version="b"))
        with pytest.raises(StaleAlias):
            await changing.switch(database, ADA, "digits", B, Expected(revision=first.revision))
        await changing.switch(database, ADA, "digits", B, Expected(version="a"))

    run(work)


def test_of_switches_at_once_one_wins(run):
    async def work(database):
        names = [facts(f"v{n}") for n in range(8)]
        await known(database, A, *names)
        await changing.switch(database, ADA, "digits", A, Expected())
        outcomes = await asyncio.gather(
            *(changing.switch(database, ADA, "digits", each, Expected(version="a")) for each in names),
            return_exceptions=True,
        )
        won = [each for each in outcomes if not isinstance(each, Exception)]
        assert len(won) == 1
        assert all(isinstance(each, Conflict) for each in outcomes if isinstance(each, Exception))
        assert (await alias(database)).version == won[0].version
        created = await asyncio.gather(
            *(changing.switch(database, ADA, "new", each, Expected()) for each in names),
            return_exceptions=True,
        )
        assert sum(not isinstance(each, Exception) for each in created) == 1

    run(work)


def test_a_version_is_never_retired_while_it_is_switched_to(run):
    async def work(database):
        for turn in range(10):
            one, two = facts(f"one{turn}"), facts(f"two{turn}")
            await known(database, one, two)
            name = f"alias{turn}"
            await changing.switch(database, ADA, name, one, Expected())
            outcomes = await asyncio.gather(
                changing.switch(database, ADA, name, two, Expected(version=one.version)),
                changing.retire(database, ADA, two),
                return_exceptions=True,
            )
            assert sum(isinstance(each, Conflict) for each in outcomes) == 1
            stands_for = facts((await alias(database, name)).version)
            assert (await version(database, stands_for)).state is State.VERIFIED

    run(work)


def test_an_alias_stays_with_its_index_and_an_index_keeps_its_name(run):
    async def work(database):
        other = facts("x", index="letters")
        await known(database, A, other)
        await changing.switch(database, ADA, "staging", A, Expected())
        with pytest.raises(InvalidInput, match="index digits"):
            await changing.switch(database, ADA, "staging", other, Expected(version="a"))
        with pytest.raises(InvalidInput, match="an index has this one"):
            await changing.switch(database, ADA, "letters", A, Expected())
        with pytest.raises(InvalidInput, match="alias of digits"):
            await changing.adopt(database, ADA, facts("y", index="staging"))

    run(work)


def test_an_alias_can_be_deleted_but_not_an_index_own(run):
    async def work(database):
        await known(database, A)
        await changing.switch(database, ADA, "digits", A, Expected())
        await changing.switch(database, ADA, "staging", A, Expected())
        with pytest.raises(Conflict, match="own name"):
            await changing.delete(database, ADA, "digits", Expected(version="a"))
        await changing.delete(database, ADA, "staging", Expected(version="a"))
        assert await alias(database, "staging") is None
        with pytest.raises(NotFound):
            await changing.delete(database, ADA, "staging", Expected(version="a"))

    run(work)


def test_the_first_start_adopts_what_it_serves_and_the_second_does_not(run):
    async def work(database):
        first = await changing.adopt(database, ADA, A)
        assert (first.alias, first.version) == ("digits", "a")
        assert (await version(database, A)).state is State.VERIFIED
        assert await changing.adopt(database, ADA, B) == first
        assert await version(database, B) is None

    run(work)


def test_what_replicas_want(run):
    async def work(database):
        async with database.read() as tx:
            before = await versions.revision(tx)
        await known(database, A, facts("x", index="letters"))
        await changing.switch(database, ADA, "digits", A, Expected())
        await changing.switch(database, ADA, "staging", A, Expected())
        async with database.read() as tx:
            assert await versions.revision(tx) > before
            found = await versions.wanted(tx, ["digits"])
            assert await versions.wanted(tx, ["letters"]) == []
            assert await versions.aliases_by_version(tx, "digits") == {"a": ["digits", "staging"]}
        assert [each.alias.alias for each in found] == ["digits", "staging"]
        assert all(each.verified_at is not None for each in found)

    run(work)


def test_lists_are_paged_by_name(run):
    async def work(database):
        await known(database, C, A, B)
        for name in ("z", "y"):
            await changing.switch(database, ADA, name, A, Expected())
        async with database.read() as tx:
            assert [v.version for v in await versions.list_versions(tx, "digits", "", 2)] == ["a", "b"]
            assert [v.version for v in await versions.list_versions(tx, "digits", "b", 2)] == ["c"]
            assert [a.alias for a in await versions.list_aliases(tx, "", 1)] == ["y"]
            assert [a.alias for a in await versions.list_aliases(tx, "y", 9)] == ["z"]

    run(work)


def test_a_change_that_fails_leaves_no_trace(run, monkeypatch):
    async def work(database):
        await known(database, A, B)
        await changing.switch(database, ADA, "digits", A, Expected())
        before = await actions(database)

        async def refuse(*arguments):
            raise Conflict("in the middle")

        with monkeypatch.context() as patched, suppress(BylineError):
            patched.setattr(audit, "record", refuse)
            await changing.switch(database, ADA, "digits", B, Expected(version="a"))
        assert (await alias(database)).version == "a"
        assert await actions(database) == before
        async with database.read() as tx:
            assert len(await versions.list_changes(tx, "digits", None, 10)) == 1

    run(work)


def test_history_cannot_be_rewritten(run):
    async def work(database):
        await changing.adopt(database, ADA, A)
        for statement in ("UPDATE alias_changes SET person = 'eve'", "DELETE FROM alias_changes"):
            with pytest.raises(Exception, match="append-only"):
                async with database.begin() as tx:
                    await tx.execute(text(statement))

    run(work)
