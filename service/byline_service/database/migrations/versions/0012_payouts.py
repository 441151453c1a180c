"""Confirmations of payouts."""

import sqlalchemy as sa
from alembic import op

from byline_service.database.migrations.append_only import append_only, drop_append_only

revision = "0012_payouts"
down_revision = "0011_parties"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring a database of the revision before here."""
    op.create_table(
        "payout_confirmations",
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("reference_key", sa.Text(), nullable=False),
        sa.Column("value_date", sa.Date(), nullable=False),
        sa.Column("person", sa.String(100), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_id", sa.String(12)),
        sa.PrimaryKeyConstraint("run_id", name="pk_payout_confirmations"),
        sa.UniqueConstraint("sequence", name="uq_payout_confirmations_sequence"),
        sa.UniqueConstraint("reference_key", name="uq_payout_confirmations_reference_key"),
        sa.ForeignKeyConstraint(
            ["run_id"], ["statement_runs.id"], name="fk_payout_confirmations_run_id_statement_runs"
        ),
        sa.ForeignKeyConstraint(
            ["sequence"], ["journal.sequence"], name="fk_payout_confirmations_sequence_journal"
        ),
    )
    append_only("payout_confirmations")


def downgrade() -> None:
    """Bring a database back to the revision before."""
    drop_append_only("payout_confirmations")
    op.drop_table("payout_confirmations")
