"""Keys, audit log, idempotency keys, usage and quota windows."""

import sqlalchemy as sa
from alembic import op

from byline_service.database.migrations.append_only import append_only, drop_append_only

revision = "0001_accounts"
down_revision = None
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring an empty database here."""
    op.create_table(
        "keys",
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("person", sa.String(100), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("owners", sa.JSON()),
        sa.Column("requests_per_minute", sa.Integer()),
        sa.Column("queries_per_minute", sa.Integer()),
        sa.Column("replaces", sa.String(12)),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT),
        sa.Column("revoked_at", _MOMENT),
        sa.Column("last_used_at", _MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.ForeignKeyConstraint(["replaces"], ["keys.id"], name="fk_keys_replaces_keys"),
        sa.CheckConstraint("requests_per_minute > 0", name=op.f("ck_keys_requests_positive")),
        sa.CheckConstraint("queries_per_minute > 0", name=op.f("ck_keys_queries_positive")),
    )
    op.create_table(
        "audit",
        sa.Column("id", _SERIAL, nullable=False, autoincrement=True),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("key_id", sa.String(12)),
        sa.Column("person", sa.String(100), nullable=False),
        sa.Column("action", sa.String(60), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_table(
        "idempotency",
        sa.Column("key_id", sa.String(12), nullable=False),
        sa.Column("route", sa.String(200), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("body_digest", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("body", sa.Text()),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("key_id", "route", "key", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"])
    op.create_table(
        "usage",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("key_id", sa.String(12), nullable=False),
        sa.Column("index_name", sa.String(64), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("queries", sa.BigInteger(), nullable=False),
        sa.Column("milliseconds", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "key_id", "index_name", name="pk_usage"),
    )
    op.create_table(
        "quota_windows",
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_quota_windows"),
    )
    append_only("audit")


def downgrade() -> None:
    """Bring a database back to an empty one."""
    drop_append_only("audit")
    for table in ("quota_windows", "usage", "idempotency", "audit", "keys"):
        op.drop_table(table)
