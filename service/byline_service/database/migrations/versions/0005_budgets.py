"""Periods and warnings of statement runs. Claims on events are of a group of policies, no longer of one policy."""

import sqlalchemy as sa
from alembic import op

from byline_service.database.migrations.append_only import append_only, drop_append_only

revision = "0005_budgets"
down_revision = "0004_provenance"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the columns. Each policy of before becomes a group of its own, as its claims were."""
    op.add_column("statement_runs", sa.Column("period", sa.String(10)))
    op.add_column("statement_runs", sa.Column("since", _MOMENT))
    op.add_column("statement_runs", sa.Column("until", _MOMENT))
    op.add_column("statement_runs", sa.Column("warnings", sa.Text()))
    group = sa.Column("policy_group", sa.String(64), nullable=False)
    _replace_claims([group], ["policy_group", "event_id", "claim"], "policy, policy")


def downgrade() -> None:
    """Take the columns away again."""
    _replace_claims([], ["policy", "event_id", "claim"], "policy")
    drop_append_only("statement_runs")
    for column in ("warnings", "until", "since", "period"):
        op.drop_column("statement_runs", column)
    append_only("statement_runs")


def _replace_claims(more: list[sa.Column[str]], key: list[str], copied: str) -> None:
    """Write the claims into a new table with another key. SQLite cannot change the key of a table."""
    drop_append_only("event_claims")
    op.execute("CREATE TABLE event_claims_before AS SELECT * FROM event_claims")
    op.drop_table("event_claims")
    op.create_table(
        "event_claims",
        *more,
        sa.Column("event_id", sa.String(32), nullable=False),
        sa.Column("claim", sa.Integer(), nullable=False),
        sa.Column("policy", sa.String(64), nullable=False),
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["sequence"], ["journal.sequence"], name="fk_event_claims_sequence_journal"),
        sa.ForeignKeyConstraint(
            ["run_id"], ["statement_runs.id"], name="fk_event_claims_run_id_statement_runs"
        ),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], name="fk_event_claims_event_id_events"),
        sa.PrimaryKeyConstraint(*key, name="pk_event_claims"),
    )
    columns = ", ".join(
        [*(column.name for column in more), "policy", "event_id", "claim", "run_id", "sequence"]
    )
    op.execute(
        f"INSERT INTO event_claims ({columns}) SELECT {copied}, event_id, claim, run_id, sequence "  # noqa: S608 - names of this file
        "FROM event_claims_before"
    )
    op.drop_table("event_claims_before")
    append_only("event_claims")
