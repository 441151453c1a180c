"""Keys, the audit log, idempotency keys, usage, and the quotas' windows."""

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
"""API keys: what is stored of them, and what they allow."""

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
"""What was changed, by whom. A trigger refuses to change or delete a row."""

idempotency = Table(
    "idempotency",
    metadata,
    Column("key_id", String(12), primary_key=True),
    Column("route", String(200), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("body_digest", LargeBinary, nullable=False),
    Column("status", Integer),
    Column("body", Text),
    Column("created_at", Moment, nullable=False),
    Index("ix_idempotency_created_at", "created_at"),
)
"""Answers to requests that must not happen twice, written in the transaction of what they did."""

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
"""What each key asked of each index, by day in UTC."""

quota_windows = Table(
    "quota_windows",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("expires_at", Moment, nullable=False),
)
"""What was used in the quotas' current minutes, where replicas share them."""
