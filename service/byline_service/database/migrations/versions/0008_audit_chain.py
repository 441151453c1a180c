"""Each line of the audit log has the hash of itself and of the line before."""

import sqlalchemy as sa
from alembic import op

from byline_service.database.audit_hash import GENESIS, audit_hash
from byline_service.database.migrations.append_only import append_only, drop_append_only

revision = "0008_audit_chain"
down_revision = "0007_sessions"
branch_labels = None
depends_on = None

_AUDIT = sa.table(
    "audit",
    sa.column("id", sa.BigInteger()),
    sa.column("at", sa.DateTime(timezone=True)),
    sa.column("key_id", sa.String()),
    sa.column("person", sa.String()),
    sa.column("action", sa.String()),
    sa.column("subject", sa.String()),
    sa.column("details", sa.JSON()),
    sa.column("hash", sa.String()),
)


def upgrade() -> None:
    """Chain the lines that exist."""
    drop_append_only("audit")
    op.add_column("audit", sa.Column("hash", sa.String(64), nullable=False, server_default=""))
    connection, previous = op.get_bind(), GENESIS
    columns = [column for column in _AUDIT.c if column.name != "hash"]
    for line in connection.execute(sa.select(*columns).order_by(_AUDIT.c.id)).mappings().all():
        previous = audit_hash(dict(line), previous)
        connection.execute(sa.update(_AUDIT).where(_AUDIT.c.id == line["id"]).values(hash=previous))
    append_only("audit")


def downgrade() -> None:
    """Take the hashes away again."""
    drop_append_only("audit")
    op.drop_column("audit", "hash")
    append_only("audit")
