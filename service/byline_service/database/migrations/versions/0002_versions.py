"""Versions of indexes and aliases."""

import sqlalchemy as sa
from alembic import op

from byline_service.database.migrations.append_only import append_only, drop_append_only

revision = "0002_versions"
down_revision = "0001_accounts"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the tables, and the one row that counts changes."""
    op.create_table(
        "index_versions",
        sa.Column("index_name", sa.String(64), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("manifest_digest", sa.String(64)),
        sa.Column("recipe", sa.String(64)),
        sa.Column("recipe_fingerprint", sa.String(64)),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("registered_at", _MOMENT, nullable=False),
        sa.Column("verified_at", _MOMENT),
        sa.Column("quarantined_at", _MOMENT),
        sa.Column("retired_at", _MOMENT),
        sa.Column("checked_bytes", sa.BigInteger()),
        sa.Column("total_bytes", sa.BigInteger()),
        sa.Column("heard_at", _MOMENT),
        sa.PrimaryKeyConstraint("index_name", "version", name="pk_index_versions"),
        sa.CheckConstraint(
            "state IN ('registered', 'verified', 'quarantined', 'retired')",
            name=op.f("ck_index_versions_state_known"),
        ),
    )
    op.create_table(
        "aliases",
        sa.Column("alias", sa.String(64), nullable=False),
        sa.Column("index_name", sa.String(64), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("previous", sa.String(64)),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("alias", name="pk_aliases"),
        sa.ForeignKeyConstraint(
            ["index_name", "version"],
            ["index_versions.index_name", "index_versions.version"],
            name="fk_aliases_index_name_version_index_versions",
        ),
    )
    op.create_table(
        "alias_changes",
        sa.Column("id", _SERIAL, nullable=False, autoincrement=True),
        sa.Column("alias", sa.String(64), nullable=False),
        sa.Column("index_name", sa.String(64), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("previous", sa.String(64)),
        sa.Column("action", sa.String(12), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("person", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alias_changes"),
    )
    op.create_index("ix_alias_changes_alias_id", "alias_changes", ["alias", "id"])
    counter = op.create_table(
        "versions_revision",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_versions_revision"),
        sa.CheckConstraint("id = 1", name=op.f("ck_versions_revision_one_row")),
    )
    op.bulk_insert(counter, [{"id": 1, "revision": 0}])
    append_only("alias_changes")


def downgrade() -> None:
    """Forget versions and aliases. The indexes' directories stay as they are."""
    drop_append_only("alias_changes")
    for table in ("versions_revision", "alias_changes", "aliases", "index_versions"):
        op.drop_table(table)
