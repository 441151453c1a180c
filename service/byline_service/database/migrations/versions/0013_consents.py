"""Consents: the status of works over time."""

import sqlalchemy as sa
from alembic import op

from byline_service.database.migrations.append_only import append_only, drop_append_only

revision = "0013_consents"
down_revision = "0012_payouts"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "consents",
        sa.Column("sequence", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("line", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("index_name", sa.String(64), nullable=False),
        sa.Column("work", sa.Text()),
        sa.Column("version", sa.String(64)),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("since", _MOMENT, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("person", sa.String(100), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["sequence"], ["journal.sequence"], name="fk_consents_sequence_journal"),
        sa.PrimaryKeyConstraint("sequence", "line", name="pk_consents"),
    )
    op.create_index("ix_consents_index_name", "consents", ["index_name"])
    append_only("consents")


def downgrade() -> None:
    """Take the table away again."""
    drop_append_only("consents")
    op.drop_table("consents")
