"""Rosters: the recorded owners of index versions."""

import sqlalchemy as sa
from alembic import op

from byline_service.database.migrations.append_only import append_only, drop_append_only

revision = "0010_rosters"
down_revision = "0009_holds"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "rosters",
        sa.Column("sequence", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("index_name", sa.String(64), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("owners", sa.Integer(), nullable=False),
        sa.Column("person", sa.String(100), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["sequence"], ["journal.sequence"], name="fk_rosters_sequence_journal"),
        sa.PrimaryKeyConstraint("sequence", name="pk_rosters"),
    )
    op.create_index("ix_rosters_index_name", "rosters", ["index_name"])
    append_only("rosters")


def downgrade() -> None:
    """Take the table away again."""
    drop_append_only("rosters")
    op.drop_table("rosters")
