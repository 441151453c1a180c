"""Tables of index versions, aliases, and changes of aliases."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    Text,
)

from byline_service.database.tables.common import Moment, Serial, metadata

index_versions = Table(
    "index_versions",
    metadata,
    Column("index_name", String(64), primary_key=True),
    Column("version", String(64), primary_key=True),
    Column("manifest_digest", String(64)),
    Column("recipe", String(64)),
    Column("recipe_fingerprint", String(64)),
    Column("state", String(12), nullable=False),
    Column("reason", Text),
    Column("registered_at", Moment, nullable=False),
    Column("verified_at", Moment),
    Column("unusable_at", Moment),
    Column("retired_at", Moment),
    Column("checked_bytes", BigInteger),
    Column("total_bytes", BigInteger),
    Column("heard_at", Moment),
    CheckConstraint(
        "state IN ('registered', 'verified', 'unservable', 'damaged', 'retired')", name="state_known"
    ),
)
"""Versions by name. Only the process that serves an index knows their directories."""

aliases = Table(
    "aliases",
    metadata,
    Column("alias", String(64), primary_key=True),
    Column("index_name", String(64), nullable=False),
    Column("version", String(64), nullable=False),
    Column("previous", String(64)),
    Column("revision", BigInteger, nullable=False),
    Column("changed_at", Moment, nullable=False),
    ForeignKeyConstraint(["index_name", "version"], ["index_versions.index_name", "index_versions.version"]),
)
"""Aliases: the row of an alias decides which version is served."""

alias_changes = Table(
    "alias_changes",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("alias", String(64), nullable=False),
    Column("index_name", String(64), nullable=False),
    Column("version", String(64), nullable=False),
    Column("previous", String(64)),
    Column("action", String(12), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("at", Moment, nullable=False),
    Column("person", String(100), nullable=False),
    Index("ix_alias_changes_alias_id", "alias", "id"),
)
"""History of aliases. A trigger refuses to change or delete a row."""

versions_revision = Table(
    "versions_revision",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)
"""One row with a number that each change raises: replicas poll it, and its lock orders the changes."""

APPEND_ONLY = (alias_changes,)
"""Tables whose rows are only ever added."""
