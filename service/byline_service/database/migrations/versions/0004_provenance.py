"""Stored answers by person, versions that are unservable or damaged, signing keys, and references of events."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from byline_service.database.migrations.append_only import append_only, drop_append_only

revision = "0004_provenance"
down_revision = "0003_compensation"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_STATE = "ck_index_versions_state_known"
_BEFORE = ("registered", "verified", "quarantined", "retired")
_AFTER = ("registered", "verified", "unservable", "damaged", "retired")


def upgrade() -> None:
    """Change stored answers and versions."""
    keys = sa.table("keys", sa.column("id"), sa.column("person"))
    kept = _replace_idempotency(sa.Column("person", sa.String(100), nullable=False))
    persons = {row.id: row.person for row in op.get_bind().execute(sa.select(keys.c.id, keys.c.person))}
    # Two keys of one person may have used the same value: the first answer stays.
    by_person: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in sorted(kept, key=lambda row: row["created_at"]):
        key_id = row.pop("key_id")
        person = persons.get(key_id, key_id)
        by_person.setdefault((person, row["route"], row["key"]), {"person": person, **row})
    _add_answers(list(by_person.values()))
    _replace_states(_AFTER, {"quarantined": "unservable"}, {"quarantined_at": "unusable_at"})
    op.create_table(
        "signing_keys",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("public_key", sa.String(64), nullable=False),
        sa.Column("added_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["sequence"], ["journal.sequence"], name="fk_signing_keys_sequence_journal"),
        sa.UniqueConstraint("sequence", name="uq_signing_keys_sequence"),
        sa.PrimaryKeyConstraint("id", name="pk_signing_keys"),
    )
    append_only("signing_keys")
    op.create_index("ix_events_reference", "events", ["reference"])


def downgrade() -> None:
    """Change them back. Stored answers are forgotten: they belong to persons, not to keys."""
    op.drop_index("ix_events_reference", "events")
    drop_append_only("signing_keys")
    op.drop_table("signing_keys")
    states = {"unservable": "quarantined", "damaged": "quarantined"}
    _replace_states(_BEFORE, states, {"unusable_at": "quarantined_at"})
    _replace_idempotency(sa.Column("key_id", sa.String(12), nullable=False))


def _replace_idempotency(scope: sa.Column[str]) -> list[dict[str, Any]]:
    """Make the table of stored answers again with another scope, and return its rows from before."""
    before = sa.Table("idempotency", sa.MetaData(), autoload_with=op.get_bind())
    rows = [dict(row) for row in op.get_bind().execute(sa.select(before)).mappings()]
    op.drop_table("idempotency")
    op.create_table(
        "idempotency",
        scope,
        sa.Column("route", sa.String(200), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("body_digest", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("body", sa.Text()),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint(scope.name, "route", "key", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"])
    return rows


def _add_answers(rows: list[dict[str, Any]]) -> None:
    table = sa.Table("idempotency", sa.MetaData(), autoload_with=op.get_bind())
    if rows:
        op.get_bind().execute(sa.insert(table), rows)


def _replace_states(allowed: tuple[str, ...], states: dict[str, str], columns: dict[str, str]) -> None:
    """Change the states that a version may have, the stored states, and names of columns."""
    with op.batch_alter_table("index_versions") as batch:
        batch.drop_constraint(op.f(_STATE), type_="check")
        for old, new in columns.items():
            batch.alter_column(old, new_column_name=new)
    versions = sa.table("index_versions", sa.column("state"))
    for old, new in states.items():
        op.execute(sa.update(versions).where(versions.c.state == old).values(state=new))
    with op.batch_alter_table("index_versions") as batch:
        batch.create_check_constraint(
            op.f(_STATE), "state IN (" + ", ".join(f"'{each}'" for each in allowed) + ")"
        )
