"""Changes of versions and aliases: one wins, nothing is half done, everything is written down. On both databases."""

import asyncio
from contextlib import suppress

import pytest
from sqlalchemy import text

from byline.api.accounts import Scope
from byline.api.versions import VersionState
from byline.errors import BylineError, Conflict, InvalidInput, NotFound, StaleAlias
from byline_service.accounts import audit
from byline_service.accounts.scopes import Caller
from byline_service.versions import queries, transactions
from byline_service.versions.records import VersionFacts
from byline_service.versions.transactions import Expected

ADA = Caller(key_id="k", person="ada", scopes=frozenset({Scope.ADMIN}))


def facts(version, index="digits", digest="a"):
    return VersionFacts(
        index=index, version=version, manifest_digest=digest * 64, recipe="ekfac", recipe_fingerprint="f" * 64
    )


A, B, C = facts("a"), facts("b"), facts("c")


async def known(database, *wanted):
    for each in wanted:
        await transactions.register(database, ADA, each)
        await transactions.begin_check(database, each)
        await transactions.mark_verified(database, ADA, each)


async def alias(database, name="digits"):
    async with database.read() as tx:
        return await queries.find_alias(tx, name)


async def version(database, of):
    async with database.read() as tx:
        return await queries.find_version(tx, of.index, of.version)


async def actions(database):
    async with database.read() as tx:
        return [(line["action"], line["subject"]) for line in await audit.page(tx, None, 1000)][::-1]


def test_the_life_of_a_version(run):
    async def work(database):
        assert (await transactions.register(database, ADA, A)).state is VersionState.REGISTERED
        with pytest.raises(Conflict, match="verify it first"):
            await transactions.switch(database, ADA, "digits", A, Expected())
        begun = await transactions.begin_check(database, A)
        assert begun.heard_at is not None
        with pytest.raises(Conflict, match="being verified"):
            await transactions.begin_check(database, A)
        await transactions.note_progress(database, A, 5, 9)
        assert (await version(database, A)).checked_bytes == 5
        done = await transactions.mark_verified(database, ADA, A)
        assert (done.state, done.heard_at) == (VersionState.VERIFIED, None)
        await transactions.switch(database, ADA, "digits", A, Expected())
        with pytest.raises(Conflict, match="digits point to this version"):
            await transactions.retire(database, ADA, A)
        await known(database, B)
        await transactions.switch(database, ADA, "digits", B, Expected(version="a"))
        assert (await transactions.retire(database, ADA, A)).state is VersionState.RETIRED
        with pytest.raises(Conflict, match="retired"):
            await transactions.begin_check(database, A)
        with pytest.raises(Conflict, match="it is retired"):
            await transactions.roll_back(database, ADA, "digits", Expected(version="b"))
        assert (await transactions.register(database, ADA, A)).state is VersionState.REGISTERED
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
        assert await transactions.register(database, ADA, A) == before
        first = await transactions.switch(database, ADA, "digits", A, Expected())
        assert await transactions.switch(database, ADA, "digits", A, Expected(version="a")) == first
        damaged = database, ADA, A, VersionState.DAMAGED, "flipped"
        assert await transactions.mark_unusable(*damaged)
        assert not await transactions.mark_unusable(*damaged)

    run(work)


def test_other_files_under_a_served_name_are_refused(run):
    async def work(database):
        await known(database, A)
        await transactions.switch(database, ADA, "digits", A, Expected())
        other = facts("a", digest="b")
        with pytest.raises(Conflict, match="other files"):
            await transactions.register(database, ADA, other)
        await known(database, B)
        await transactions.switch(database, ADA, "digits", B, Expected(version="a"))
        renewed = await transactions.register(database, ADA, other)
        assert (renewed.state, renewed.manifest_digest) == (VersionState.REGISTERED, "b" * 64)

    run(work)


def test_a_failed_opening_does_not_undo_what_a_verification_found(run):
    """A replica that cannot load the Task says nothing of bytes that were read and are wrong."""

    async def work(database):
        await known(database, B)
        unservable = database, ADA, B, VersionState.UNSERVABLE, "its Task moved on"
        assert await transactions.mark_unusable(*unservable)
        assert await transactions.mark_unusable(database, ADA, B, VersionState.DAMAGED, "flipped")
        assert not await transactions.mark_unusable(*unservable)
        assert (await version(database, B)).reason == "flipped"
        await transactions.begin_check(database, B)
        assert await transactions.mark_unusable(*unservable)
        assert (await version(database, B)).state is VersionState.UNSERVABLE

    run(work)


@pytest.mark.parametrize("state", [VersionState.UNSERVABLE, VersionState.DAMAGED])
def test_an_unusable_version_is_not_switched_to_until_it_is_verified_again(run, state):
    async def work(database):
        await known(database, A, B)
        await transactions.switch(database, ADA, "digits", A, Expected())
        assert await transactions.mark_unusable(database, ADA, B, state, "search.faiss: is missing")
        with pytest.raises(Conflict, match=state):
            await transactions.switch(database, ADA, "digits", B, Expected(version="a"))
        await transactions.begin_check(database, B)
        assert (await transactions.mark_verified(database, ADA, B)).reason is None
        await transactions.switch(database, ADA, "digits", B, Expected(version="a"))

    run(work)


def test_roll_back_returns_and_returns_again(run):
    async def work(database):
        await known(database, A, B)
        await transactions.switch(database, ADA, "digits", A, Expected())
        with pytest.raises(Conflict, match="no previous version"):
            await transactions.roll_back(database, ADA, "digits", Expected(version="a"))
        await transactions.switch(database, ADA, "digits", B, Expected(version="a"))
        back = await transactions.roll_back(database, ADA, "digits", Expected(version="b"))
        assert (back.version, back.previous) == ("a", "b")
        with pytest.raises(Conflict, match="found version a"):
            await transactions.roll_back(database, ADA, "digits", Expected(version="b"))
        again = await transactions.roll_back(database, ADA, "digits", Expected(revision=back.revision))
        assert (again.version, again.previous) == ("b", "a")
        async with database.read() as tx:
            changes = await queries.list_changes(tx, "digits", None, 2)
            rest = await queries.list_changes(tx, "digits", changes[-1].id, 100)
        assert [each.action for each in [*changes, *rest]] == ["rollback", "rollback", "switch", "create"]
        assert {each.person for each in changes} == {"ada"}

    run(work)


def test_an_etag_notices_a_change_there_and_back(run):
    async def work(database):
        await known(database, A, B)
        first = await transactions.switch(database, ADA, "digits", A, Expected())
        await transactions.switch(database, ADA, "digits", B, Expected(version="a"))
        await transactions.switch(database, ADA, "digits", A, Expected(version="b"))
        with pytest.raises(StaleAlias):
            await transactions.switch(database, ADA, "digits", B, Expected(revision=first.revision))
        await transactions.switch(database, ADA, "digits", B, Expected(version="a"))

    run(work)


def test_of_switches_at_once_one_wins(run):
    async def work(database):
        names = [facts(f"v{n}") for n in range(8)]
        await known(database, A, *names)
        await transactions.switch(database, ADA, "digits", A, Expected())
        outcomes = await asyncio.gather(
            *(transactions.switch(database, ADA, "digits", each, Expected(version="a")) for each in names),
            return_exceptions=True,
        )
        won = [each for each in outcomes if not isinstance(each, Exception)]
        assert len(won) == 1
        assert all(isinstance(each, Conflict) for each in outcomes if isinstance(each, Exception))
        assert (await alias(database)).version == won[0].version
        created = await asyncio.gather(
            *(transactions.switch(database, ADA, "new", each, Expected()) for each in names),
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
            await transactions.switch(database, ADA, name, one, Expected())
            outcomes = await asyncio.gather(
                transactions.switch(database, ADA, name, two, Expected(version=one.version)),
                transactions.retire(database, ADA, two),
                return_exceptions=True,
            )
            assert sum(isinstance(each, Conflict) for each in outcomes) == 1
            stands_for = facts((await alias(database, name)).version)
            assert (await version(database, stands_for)).state is VersionState.VERIFIED

    run(work)


def test_an_alias_stays_with_its_index_and_an_index_keeps_its_name(run):
    async def work(database):
        other = facts("x", index="letters")
        await known(database, A, other)
        await transactions.switch(database, ADA, "staging", A, Expected())
        with pytest.raises(InvalidInput, match="index digits"):
            await transactions.switch(database, ADA, "staging", other, Expected(version="a"))
        with pytest.raises(InvalidInput, match="an index has this name"):
            await transactions.switch(database, ADA, "letters", A, Expected())
        with pytest.raises(InvalidInput, match="alias of digits"):
            await transactions.adopt(database, ADA, facts("y", index="staging"))

    run(work)


def test_an_alias_can_be_deleted_but_not_an_index_own(run):
    async def work(database):
        await known(database, A)
        await transactions.switch(database, ADA, "digits", A, Expected())
        await transactions.switch(database, ADA, "staging", A, Expected())
        with pytest.raises(Conflict, match="own name"):
            await transactions.delete(database, ADA, "digits", Expected(version="a"))
        await transactions.delete(database, ADA, "staging", Expected(version="a"))
        assert await alias(database, "staging") is None
        with pytest.raises(NotFound):
            await transactions.delete(database, ADA, "staging", Expected(version="a"))

    run(work)


def test_the_first_start_adopts_what_it_serves_and_the_second_does_not(run):
    async def work(database):
        first = await transactions.adopt(database, ADA, A)
        assert (first.alias, first.version) == ("digits", "a")
        assert (await version(database, A)).state is VersionState.VERIFIED
        assert await transactions.adopt(database, ADA, B) == first
        assert await version(database, B) is None

    run(work)


def test_a_change_that_fails_leaves_no_trace(run, monkeypatch):
    async def work(database):
        await known(database, A, B)
        await transactions.switch(database, ADA, "digits", A, Expected())
        before = await actions(database)

        async def refuse(*arguments):
            raise Conflict("in the middle")

        with monkeypatch.context() as patched, suppress(BylineError):
            patched.setattr(audit, "record", refuse)
            await transactions.switch(database, ADA, "digits", B, Expected(version="a"))
        assert (await alias(database)).version == "a"
        assert await actions(database) == before
        async with database.read() as tx:
            assert len(await queries.list_changes(tx, "digits", None, 10)) == 1

    run(work)


def test_history_cannot_be_rewritten(run):
    async def work(database):
        await transactions.adopt(database, ADA, A)
        for statement in ("UPDATE alias_changes SET person = 'eve'", "DELETE FROM alias_changes"):
            with pytest.raises(Exception, match="append-only"):
                async with database.begin() as tx:
                    await tx.execute(text(statement))

    run(work)
