"""The persons of keys that were made before are recorded, and a rejected run is void to the release before."""

from sqlalchemy import text

from byline_service.accounts import persons
from byline_service.database import migrate
from tests.service.database.sample_rows import insert_samples

KEY = (
    "INSERT INTO keys (id, name, person, digest, scopes, created_at) "
    "VALUES (:id, 'x', :person, :digest, '[]', '2026-01-01 00:00:0{n}')"
)


def test_persons_of_earlier_keys_are_recorded_and_the_oldest_has_the_name(empty_database):
    empty_database.run(lambda used: migrate.upgrade(used, "0003_compensation"))

    async def write(transaction):
        for n, person in enumerate(["ada", "Ada", "grace", "ada"]):
            values = {"id": str(n), "person": person, "digest": b"d"}
            await transaction.execute(text(KEY.format(n=n)), values)

    empty_database.booked(write)
    empty_database.run(migrate.upgrade)
    found = empty_database.booked(persons.page, None, 10)
    assert {each.name: each.made_at.second for each in found} == {"ada": 0, "Ada": 1, "grace": 2}

    async def holders(transaction):
        chosen = text("SELECT skeleton, person FROM person_skeletons")
        return {row.skeleton: row.person for row in await transaction.execute(chosen)}

    assert empty_database.booked(holders)["ada"] == "ada"


def test_a_rejected_run_is_void_to_the_release_before(empty_database):
    for revision in migrate.revisions():
        empty_database.run(lambda used, to=revision: migrate.upgrade(used, to))
        empty_database.run(lambda used, at=revision: insert_samples(used, at))

    async def steps(transaction):
        return sorted((await transaction.execute(text("SELECT step FROM run_steps"))).scalars())

    async def reject(transaction):
        made = "INSERT INTO journal (sequence, at, document, hash) SELECT 3, at, document, hash FROM journal"
        columns = "kind, policy, revision, drafted_by, drafted_at"
        run = f"INSERT INTO statement_runs (id, sequence, {columns}) SELECT 's', 3, {columns} "
        step = "INSERT INTO run_steps (run_id, step, sequence, person, at) SELECT 's', 'rejection', 3, person, at "
        await transaction.execute(text(made))
        await transaction.execute(text(run + "FROM statement_runs"))
        await transaction.execute(text(step + "FROM run_steps"))

    empty_database.booked(reject)
    assert empty_database.booked(steps) == ["rejection", "void"]
    empty_database.run(lambda used: migrate.downgrade(used, "0003_compensation"))
    assert empty_database.booked(steps) == ["void", "void"]
