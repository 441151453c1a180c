"""Confirmations of payouts are append-only, and a bank's reference is there once."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from byline_service.database import migrate
from tests.service.database.sample_rows import insert_samples


def test_a_confirmation_stays_and_its_reference_is_unique(empty_database):
    for revision in migrate.revisions():
        empty_database.run(lambda used, to=revision: migrate.upgrade(used, to))
        empty_database.run(lambda used, at=revision: insert_samples(used, at))

    async def change(transaction):
        await transaction.execute(text("UPDATE payout_confirmations SET reference = 'another'"))

    async def repeat(transaction):
        made = "INSERT INTO payout_confirmations (run_id, sequence, reference, reference_key, value_date, person, at) "
        await transaction.execute(
            text(
                made
                + "SELECT 's', 2, reference, reference_key, value_date, person, at FROM payout_confirmations"
            )
        )

    for work in (change, repeat):
        with pytest.raises(DBAPIError):
            empty_database.booked(work)
    empty_database.run(lambda used: migrate.downgrade(used, "0010_rosters"))
    empty_database.run(migrate.upgrade)
