"""Tables of keys, the audit log, idempotency keys, usage and quota windows."""

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from byline_service.database.tables.common import Moment, Serial, metadata

keys = Table(
    "keys",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("person", String(100), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("owners", JSON(none_as_null=True)),
    Column("requests_per_minute", Integer),
    Column("queries_per_minute", Integer),
    Column("replaces", String(12), ForeignKey("keys.id")),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
    Column("last_used_at", Moment),
    CheckConstraint("requests_per_minute > 0", name="requests_positive"),
    CheckConstraint("queries_per_minute > 0", name="queries_positive"),
)
"""API keys: their stored digests and their permissions."""

audit = Table(
    "audit",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("key_id", String(12)),
    Column("person", String(100), nullable=False),
    Column("action", String(60), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("details", JSON, nullable=False),
)
"""The audit log of changes. A trigger refuses to change or delete a row."""

idempotency = Table(
    "idempotency",
    metadata,
    Column("person", String(100), primary_key=True),
    Column("route", String(200), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("body_digest", LargeBinary, nullable=False),
    Column("status", Integer),
    Column("body", Text),
    Column("created_at", Moment, nullable=False),
    Index("ix_idempotency_created_at", "created_at"),
)
"""Stored answers of requests with an `Idempotency-Key`, written in the transaction of their effects."""

usage = Table(
    "usage",
    metadata,
    Column("day", Date, primary_key=True),
    Column("key_id", String(12), primary_key=True),
    Column("index_name", String(64), primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("queries", BigInteger, nullable=False),
    Column("milliseconds", BigInteger, nullable=False),
)
"""Requests and queries of each key and index, by day in UTC."""

quota_windows = Table(
    "quota_windows",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("expires_at", Moment, nullable=False),
)
"""Contents of the current quota windows, where replicas share them."""
