"""Rights tables of indexes."""

import sqlalchemy as sa
from alembic import op

from byline_service.database.migrations.append_only import append_only, drop_append_only

revision = "0014_rights"
down_revision = "0013_consents"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "rights_tables",
        sa.Column("index_name", sa.String(64), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("index_name", "revision", name="pk_rights_tables"),
        sa.ForeignKeyConstraint(["sequence"], ["journal.sequence"], name="fk_rights_tables_sequence_journal"),
        sa.UniqueConstraint("sequence", name="uq_rights_tables_sequence"),
    )
    append_only("rights_tables")


def downgrade() -> None:
    """Take the table away again."""
    drop_append_only("rights_tables")
    op.drop_table("rights_tables")
