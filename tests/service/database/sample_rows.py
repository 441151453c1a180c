"""Rows of every revision's new tables, in SQL types as that revision has them: an upgrade must keep them.

Whoever adds a revision adds an entry: revision -> table -> rows. They are written at that revision, and counted at
the newest.
"""

from sqlalchemy import MetaData, Table, func, insert, select

MOMENT = "2026-01-02 03:04:05.000006"
SAMPLES = {
    "0001_accounts": {
        "keys": [
            {
                "id": "k" * 12,
                "name": "ä key",
                "person": "ada",
                "digest": b"\x00\xff" * 16,
                "scopes": ["read"],
                "owners": ["owner 1"],
                "created_at": MOMENT,
            }
        ],
        "audit": [
            {"at": MOMENT, "person": "ada", "action": "keys.create", "subject": "k" * 12, "details": {"a": 1}}
        ],
        "idempotency": [
            {
                "key_id": "k" * 12,
                "route": "POST /x",
                "key": "1",
                "body_digest": b"d" * 32,
                "status": 201,
                "body": "{}",
                "created_at": MOMENT,
            }
        ],
        "usage": [
            {
                "day": "2026-01-02",
                "key_id": "k" * 12,
                "index_name": "fake",
                "requests": 1,
                "queries": 2,
                "milliseconds": 2**40,
            }
        ],
        "quota_windows": [{"name": "q", "amount": 3, "expires_at": MOMENT}],
    },
    "0002_versions": {
        "index_versions": [
            {
                "index_name": "fake",
                "version": "a",
                "manifest_digest": "0" * 64,
                "recipe": "ekfac",
                "recipe_fingerprint": "f" * 64,
                "state": "verified",
                "reason": "ä",
                "registered_at": MOMENT,
                "verified_at": MOMENT,
                "checked_bytes": 2**40,
            },
        ],
        "aliases": [
            {
                "alias": "fake",
                "index_name": "fake",
                "version": "a",
                "previous": "b",
                "revision": 2,
                "changed_at": MOMENT,
            }
        ],
        "alias_changes": [
            {
                "alias": "fake",
                "index_name": "fake",
                "version": "a",
                "action": "create",
                "revision": 2,
                "at": MOMENT,
                "person": "ada",
            }
        ],
    },
    "0004_provenance": {
        "signing_keys": [{"id": "k" * 32, "sequence": 1, "public_key": "a" * 44, "added_at": MOMENT}],
    },
    "0003_compensation": {
        "journal": [{"sequence": 1, "at": MOMENT, "document": "{}", "hash": "0" * 64}],
        "events": [
            {
                "id": "e" * 32,
                "sequence": 1,
                "booked_at": MOMENT,
                "index_name": "fake",
                "version": "0123456789ab",
                "reference": None,
                "weight": 1,
            }
        ],
        "policies": [{"name": "p", "revision": 1, "sequence": 1, "currency": "EUR", "minor_digits": 2}],
        "statement_runs": [
            {
                "id": "r" * 32,
                "sequence": 1,
                "kind": "allocation",
                "policy": "p",
                "revision": 1,
                "drafted_by": "ada",
                "drafted_at": MOMENT,
            }
        ],
        "run_steps": [{"run_id": "r" * 32, "step": "void", "sequence": 1, "person": "ada", "at": MOMENT}],
        "statement_lines": [
            {
                "run_id": "r" * 32,
                "owner": "ä",
                "earned": 2**50,
                "brought": 0,
                "payable": 1,
                "carried": 0,
                "escrow": 1,
            }
        ],
        "ledger_entries": [
            {
                "sequence": 1,
                "line": 1,
                "run_id": "r" * 32,
                "policy": "p",
                "account": "unallocated",
                "owner": None,
                "currency": "EUR",
                "amount": -(2**50),
            }
        ],
        "event_claims": [
            {"policy": "p", "event_id": "e" * 32, "claim": 0, "run_id": "r" * 32, "sequence": 1}
        ],
    },
    "0005_budgets": {},  # columns of tables of before, and no table
    "0008_audit_chain": {},
    "0007_sessions": {
        "ended_sessions": [{"id": "s" * 16, "expires_at": MOMENT}],
    },
    "0006_persons": {
        "persons": [{"name": "grace", "made_by": "ada", "made_by_key": "k" * 12, "made_at": MOMENT}],
        "person_skeletons": [{"skeleton": "grace", "person": "grace"}],
    },
    "0009_holds": {
        "holds": [
            {
                "id": "h" * 32,
                "sequence": 1,
                "owner": "ä",
                "index_name": None,
                "work": None,
                "nature": "dispute",
                "reason": "ä",
                "person": "ada",
                "at": MOMENT,
            }
        ],
        "hold_ends": [{"hold_id": "h" * 32, "sequence": 1, "reason": "ä", "person": "grace", "at": MOMENT}],
    },
    "0010_rosters": {
        "rosters": [
            {
                "sequence": 1,
                "index_name": "fake",
                "version": "a",
                "owners": 3,
                "person": "ada",
                "at": MOMENT,
            }
        ]
    },
    "0014_rights": {
        "rights_tables": [
            {"index_name": "fake", "revision": 1, "sequence": 1, "rows": 2, "sha256": "a" * 64}
        ],
    },
    "0011_parties": {
        "parties": [
            {
                "id": "p" * 16,
                "revision": 1,
                "sequence": 1,
                "name": "ä party",
                "recorded_by": "ada",
                "recorded_at": MOMENT,
            }
        ],
        "party_labels": [{"label": "ä party", "party": "p" * 16, "sequence": 1}],
        "party_details": [{"party": "p" * 16, "revision": 1, "salt": "s", "document": "{}"}],
    },
    "0015_answers": {
        "recorded_answers": [
            {
                "id": "a" * 32,
                "index_name": "fake",
                "version": "0123456789ab",
                "person": "ada",
                "shared": True,
                "recorded_at": MOMENT,
                "expires_at": MOMENT,
                "question": "{}",
                "answer": '{"text": "ä"}',
            }
        ],
    },
    "0012_payouts": {
        "payout_confirmations": [
            {
                "run_id": "r" * 32,
                "sequence": 1,
                "reference": "B 1",
                "reference_key": "b1",
                "value_date": "2026-01-31",
                "person": "grace",
                "at": MOMENT,
                "key_id": "k" * 12,
            }
        ],
    },
    "0013_consents": {
        "consents": [
            {
                "sequence": 1,
                "line": 1,
                "owner": "ä",
                "index_name": "fake",
                "work": None,
                "version": None,
                "status": "prohibited",
                "since": MOMENT,
                "source": "ä",
                "person": "ada",
                "at": MOMENT,
            }
        ]
    },
}

ADDED = {"persons": 1, "person_skeletons": 1}
"""Rows that upgrades write themselves: the persons of the keys."""


async def insert_samples(database, revision):
    """Write a revision's rows by the tables as the database has them."""

    def write(connection):
        for name, rows in SAMPLES[revision].items():
            table = Table(name, MetaData(), autoload_with=connection)
            connection.execute(insert(table), [_typed(table, row) for row in rows])

    async with database.begin() as connection:
        await connection.run_sync(write)


async def read_samples(database, revision):
    """Count the rows of a revision's tables."""

    def count(connection):
        return {
            name: connection.execute(
                select(func.count()).select_from(Table(name, MetaData(), autoload_with=connection))
            ).scalar_one()
            for name in SAMPLES[revision]
        }

    async with database.read() as connection:
        return await connection.run_sync(count)


def _typed(table, row):
    """Moments and days as the column's Python type."""
    from datetime import date, datetime

    made = dict(row)
    for name, value in row.items():
        kind = table.c[name].type.python_type
        if isinstance(value, str) and kind in (date, datetime):
            made[name] = kind.fromisoformat(value)
    return made
