"""Recorded answers."""

import sqlalchemy as sa
from alembic import op

revision = "0015_answers"
down_revision = "0014_rights"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "recorded_answers",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("index_name", sa.String(64), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("person", sa.String(100), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_recorded_answers"),
    )
    for column in ("expires_at", "person"):
        op.create_index(f"ix_recorded_answers_{column}", "recorded_answers", [column])


def downgrade() -> None:
    """Take the table away again."""
    op.drop_table("recorded_answers")
