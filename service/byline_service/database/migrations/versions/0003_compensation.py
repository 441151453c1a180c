"""The journal, events, policies, statement runs and the ledger. All of them append-only."""

import sqlalchemy as sa
from alembic import op

from byline_service.database.migrations.append_only import append_only, drop_append_only

revision = "0003_compensation"
down_revision = "0002_versions"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_TABLES = (
    "journal",
    "events",
    "policies",
    "statement_runs",
    "run_steps",
    "statement_lines",
    "ledger_entries",
    "event_claims",
)


def _sequence(table: str, *, unique: bool = True) -> list[sa.schema.SchemaItem]:
    """The column that names a row's journal record, and what holds it."""
    column = sa.Column("sequence", sa.BigInteger(), nullable=False, autoincrement=False)
    key = sa.ForeignKeyConstraint(["sequence"], ["journal.sequence"], name=f"fk_{table}_sequence_journal")
    once = sa.UniqueConstraint("sequence", name=f"uq_{table}_sequence")
    return [column, key, *([once] if unique else [])]


def _of_run(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_run_id_statement_runs"
    return sa.ForeignKeyConstraint(["run_id"], ["statement_runs.id"], name=name)


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "journal",
        sa.Column("sequence", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_journal"),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("booked_at", _MOMENT, nullable=False),
        sa.Column("index_name", sa.String(64), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("reference", sa.Text()),
        sa.Column("weight", sa.BigInteger(), nullable=False),
        *_sequence("events"),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
    )
    op.create_index("ix_events_booked_at", "events", ["booked_at"])
    op.create_table(
        "policies",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("minor_digits", sa.Integer(), nullable=False),
        *_sequence("policies"),
        sa.PrimaryKeyConstraint("name", "revision", name="pk_policies"),
    )
    _add_runs()
    _add_ledger()
    for table in _TABLES:
        append_only(table)


def _add_runs() -> None:
    op.create_table(
        "statement_runs",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("policy", sa.String(64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("reverses", sa.String(32)),
        sa.Column("drafted_by", sa.String(100), nullable=False),
        sa.Column("drafted_at", _MOMENT, nullable=False),
        *_sequence("statement_runs"),
        sa.ForeignKeyConstraint(
            ["reverses"], ["statement_runs.id"], name="fk_statement_runs_reverses_statement_runs"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_statement_runs"),
    )
    op.create_index("ix_statement_runs_policy", "statement_runs", ["policy"])
    op.create_table(
        "run_steps",
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("step", sa.String(8), nullable=False),
        sa.Column("person", sa.String(100), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        *_sequence("run_steps"),
        _of_run("run_steps"),
        sa.PrimaryKeyConstraint("run_id", "step", name="pk_run_steps"),
        sa.CheckConstraint("step IN ('approval', 'posting', 'void')", name=op.f("ck_run_steps_step_known")),
    )
    op.create_table(
        "statement_lines",
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("earned", sa.BigInteger(), nullable=False),
        sa.Column("brought", sa.BigInteger(), nullable=False),
        sa.Column("payable", sa.BigInteger(), nullable=False),
        sa.Column("carried", sa.BigInteger(), nullable=False),
        sa.Column("escrow", sa.BigInteger(), nullable=False),
        _of_run("statement_lines"),
        sa.PrimaryKeyConstraint("run_id", "owner", name="pk_statement_lines"),
    )
    op.create_index("ix_statement_lines_owner", "statement_lines", ["owner"])


def _add_ledger() -> None:
    op.create_table(
        "ledger_entries",
        sa.Column("line", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("policy", sa.String(64), nullable=False),
        sa.Column("account", sa.String(11), nullable=False),
        sa.Column("owner", sa.Text()),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        *_sequence("ledger_entries", unique=False),
        _of_run("ledger_entries"),
        sa.PrimaryKeyConstraint("sequence", "line", name="pk_ledger_entries"),
    )
    op.create_index("ix_ledger_entries_policy", "ledger_entries", ["policy", "account", "owner"])
    op.create_table(
        "event_claims",
        sa.Column("policy", sa.String(64), nullable=False),
        sa.Column("event_id", sa.String(32), nullable=False),
        sa.Column("claim", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("run_id", sa.String(32), nullable=False),
        *_sequence("event_claims", unique=False),
        _of_run("event_claims"),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], name="fk_event_claims_event_id_events"),
        sa.PrimaryKeyConstraint("policy", "event_id", "claim", name="pk_event_claims"),
    )


def downgrade() -> None:
    """Take the tables away again, with all that was booked."""
    for table in reversed(_TABLES):
        drop_append_only(table)
        op.drop_table(table)
