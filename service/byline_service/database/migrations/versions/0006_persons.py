"""Persons, the makers of keys; keys, comments and rejections of runs."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from byline.names.skeletons import skeletons
from byline_service.database.migrations.append_only import append_only, drop_append_only

revision = "0006_persons"
down_revision = "0005_budgets"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_NAMES = (
    "pk_run_steps",
    "uq_run_steps_sequence",
    "fk_run_steps_run_id_statement_runs",
    "fk_run_steps_sequence_journal",
    "ck_run_steps_step_known",
)
_BEFORE = "step IN ('approval', 'posting', 'void')"
_AFTER = "step IN ('approval', 'rejection', 'posting', 'void')"


def upgrade() -> None:
    """Bring a database of the revision before here."""
    op.create_table(
        "persons",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("made_by", sa.String(100), nullable=False),
        sa.Column("made_by_key", sa.String(12)),
        sa.Column("made_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_persons"),
    )
    op.create_table(
        "person_skeletons",
        sa.Column("skeleton", sa.Text(), nullable=False),
        sa.Column("person", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint("skeleton", name="pk_person_skeletons"),
        sa.ForeignKeyConstraint(["person"], ["persons.name"], name="fk_person_skeletons_person_persons"),
    )
    op.add_column("keys", sa.Column("made_by", sa.String(100)))
    op.add_column("keys", sa.Column("made_by_key", sa.String(12)))
    _record_persons()
    for table in ("persons", "person_skeletons"):
        append_only(table)
    op.add_column("statement_runs", sa.Column("key_id", sa.String(12)))
    _change_steps(_AFTER, 9, (sa.Column("key_id", sa.String(12)), sa.Column("comment", sa.Text())))


def downgrade() -> None:
    """Bring a database back to the revision before. A rejected run becomes void."""
    drop_append_only("run_steps")
    op.execute("UPDATE run_steps SET step = 'void' WHERE step = 'rejection'")
    append_only("run_steps")
    _change_steps(_BEFORE, 8, ())
    op.drop_column("statement_runs", "key_id")
    for table in ("person_skeletons", "persons"):
        drop_append_only(table)
    op.drop_column("keys", "made_by_key")
    op.drop_column("keys", "made_by")
    for table in ("person_skeletons", "persons"):
        op.drop_table(table)


def _record_persons() -> None:
    """Record the persons of the keys. Of names that look alike, the one with the oldest key has the skeleton."""
    connection = op.get_bind()
    oldest = "SELECT person, MIN(created_at) AS made_at FROM keys GROUP BY person ORDER BY 2, 1"
    claimed: set[str] = set()
    for name, made_at in connection.execute(sa.text(oldest)).all():
        values = {"name": name, "made_by": "operator", "made_at": made_at}
        added = "INSERT INTO persons (name, made_by, made_at) VALUES (:name, :made_by, :made_at)"
        connection.execute(sa.text(added), values)
        for skeleton in sorted(skeletons(name) - claimed):
            claimed.add(skeleton)
            added = "INSERT INTO person_skeletons (skeleton, person) VALUES (:skeleton, :person)"
            connection.execute(sa.text(added), {"skeleton": skeleton, "person": name})


def _change_steps(known: str, longest: int, more: tuple[sa.Column[Any], ...]) -> None:
    """Make the table again with other steps and columns: SQLite cannot alter a constraint."""
    drop_append_only("run_steps")
    op.rename_table("run_steps", "run_steps_before")
    for name in () if op.get_bind().dialect.name == "sqlite" else _NAMES:
        op.execute(f"ALTER TABLE run_steps_before RENAME CONSTRAINT {name} TO {name}_before")
    op.create_table(
        "run_steps",
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("step", sa.String(longest), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.String(100), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        *more,
        sa.PrimaryKeyConstraint("run_id", "step", name=_NAMES[0]),
        sa.UniqueConstraint("sequence", name=_NAMES[1]),
        sa.ForeignKeyConstraint(["run_id"], ["statement_runs.id"], name=_NAMES[2]),
        sa.ForeignKeyConstraint(["sequence"], ["journal.sequence"], name=_NAMES[3]),
        sa.CheckConstraint(known, name=op.f(_NAMES[4])),
    )
    op.execute(
        "INSERT INTO run_steps (run_id, step, sequence, person, at) "
        "SELECT run_id, step, sequence, person, at FROM run_steps_before"
    )
    op.drop_table("run_steps_before")
    append_only("run_steps")
