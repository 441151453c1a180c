"""Holds of owners and works, and the held part of a statement's line."""

import sqlalchemy as sa
from alembic import op

from byline_service.database.migrations.append_only import append_only, drop_append_only

revision = "0009_holds"
down_revision = "0008_audit_chain"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def _act(table: str) -> list[sa.schema.SchemaItem]:
    """The columns of a person's act, and the journal record that holds it."""
    return [
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("person", sa.String(100), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["sequence"], ["journal.sequence"], name=f"fk_{table}_sequence_journal"),
        sa.UniqueConstraint("sequence", name=f"uq_{table}_sequence"),
    ]


def upgrade() -> None:
    """Add the tables and the column. Lines of before have nothing held."""
    op.create_table(
        "holds",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("index_name", sa.String(64)),
        sa.Column("work", sa.Text()),
        sa.Column("nature", sa.String(8), nullable=False),
        *_act("holds"),
        sa.PrimaryKeyConstraint("id", name="pk_holds"),
    )
    op.create_index("ix_holds_owner", "holds", ["owner"])
    op.create_table(
        "hold_ends",
        sa.Column("hold_id", sa.String(32), nullable=False),
        *_act("hold_ends"),
        sa.ForeignKeyConstraint(["hold_id"], ["holds.id"], name="fk_hold_ends_hold_id_holds"),
        sa.PrimaryKeyConstraint("hold_id", name="pk_hold_ends"),
    )
    for table in ("holds", "hold_ends"):
        append_only(table)
    op.add_column(
        "statement_lines", sa.Column("held", sa.BigInteger(), nullable=False, server_default=sa.text("0"))
    )


def downgrade() -> None:
    """Take tables and column away again."""
    drop_append_only("statement_lines")
    op.drop_column("statement_lines", "held")
    append_only("statement_lines")
    for table in ("hold_ends", "holds"):
        drop_append_only(table)
        op.drop_table(table)
