"""Sessions of browsers that were ended before their time."""

import sqlalchemy as sa
from alembic import op

revision = "0007_sessions"
down_revision = "0006_persons"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "ended_sessions",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ended_sessions"),
    )
    op.create_index("ix_ended_sessions_expires_at", "ended_sessions", ["expires_at"])


def downgrade() -> None:
    """Take the table away again."""
    op.drop_table("ended_sessions")
