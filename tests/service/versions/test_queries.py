"""Versions and aliases are read from the database."""

from byline_service.versions import queries, transactions
from byline_service.versions.transactions import Expected
from tests.service.versions.test_transactions import ADA, A, B, C, facts, known


def test_what_replicas_want(run):
    async def work(database):
        async with database.read() as tx:
            before = await queries.revision(tx)
        await known(database, A, facts("x", index="letters"))
        await transactions.switch(database, ADA, "digits", A, Expected())
        await transactions.switch(database, ADA, "staging", A, Expected())
        async with database.read() as tx:
            assert await queries.revision(tx) > before
            found = await queries.target_versions(tx, ["digits"])
            assert await queries.target_versions(tx, ["letters"]) == []
            assert await queries.aliases_by_version(tx, "digits") == {"a": ["digits", "staging"]}
        assert [each.alias.alias for each in found] == ["digits", "staging"]
        assert all(each.verified_at is not None for each in found)

    run(work)


def test_lists_are_paged_by_name(run):
    async def work(database):
        await known(database, C, A, B)
        for name in ("z", "y"):
            await transactions.switch(database, ADA, name, A, Expected())
        async with database.read() as tx:
            assert [v.version for v in await queries.list_versions(tx, "digits", "", 2)] == ["a", "b"]
            assert [v.version for v in await queries.list_versions(tx, "digits", "b", 2)] == ["c"]
            assert [a.alias for a in await queries.list_aliases(tx, "", 1)] == ["y"]
            assert [a.alias for a in await queries.list_aliases(tx, "y", 9)] == ["z"]

    run(work)
