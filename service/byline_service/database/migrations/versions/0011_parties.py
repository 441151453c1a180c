"""Parties, their labels, and their private details."""

import sqlalchemy as sa
from alembic import op

from byline_service.database.migrations.append_only import append_only, drop_append_only

revision = "0011_parties"
down_revision = "0010_rosters"
branch_labels = None
depends_on = None

_SEQUENCE = "journal.sequence"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "parties",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("recorded_by", sa.String(100), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", "revision", name="pk_parties"),
        sa.ForeignKeyConstraint(["sequence"], [_SEQUENCE], name="fk_parties_sequence_journal"),
        sa.UniqueConstraint("sequence", name="uq_parties_sequence"),
    )
    op.create_index("ix_parties_name", "parties", ["name"])
    op.create_table(
        "party_labels",
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("party", sa.String(16), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("label", name="pk_party_labels"),
        sa.ForeignKeyConstraint(["sequence"], [_SEQUENCE], name="fk_party_labels_sequence_journal"),
    )
    op.create_index("ix_party_labels_party", "party_labels", ["party"])
    op.create_table(
        "party_details",
        sa.Column("party", sa.String(16), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("salt", sa.String(64), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("party", "revision", name="pk_party_details"),
    )
    for table in ("parties", "party_labels"):
        append_only(table)


def downgrade() -> None:
    """Take the tables away again."""
    for table in ("party_labels", "parties"):
        drop_append_only(table)
    for table in ("party_details", "party_labels", "parties"):
        op.drop_table(table)
