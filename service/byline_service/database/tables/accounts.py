"""Tables of persons, keys, ended sessions, the audit log, idempotency keys, usage and quota windows."""

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

persons = Table(
    "persons",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("made_by", String(100), nullable=False),
    Column("made_by_key", String(12)),
    Column("made_at", Moment, nullable=False),
)
"""Persons, each with the maker. A trigger refuses to change or delete a row."""

person_skeletons = Table(
    "person_skeletons",
    metadata,
    Column("skeleton", Text, primary_key=True),
    Column("person", String(100), ForeignKey("persons.name"), nullable=False),
)
"""Skeletons of persons' names: no two persons share one. A trigger refuses to change or delete a row."""

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
    Column("made_by", String(100)),
    Column("made_by_key", String(12)),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
    Column("last_used_at", Moment),
    CheckConstraint("requests_per_minute > 0", name="requests_positive"),
    CheckConstraint("queries_per_minute > 0", name="queries_positive"),
)
"""API keys: their stored digests, their permissions, and who made them."""

ended_sessions = Table(
    "ended_sessions",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("expires_at", Moment, nullable=False),
    Index("ix_ended_sessions_expires_at", "expires_at"),
)
"""Sessions of browsers that were ended before their time. Their cookies are refused."""

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
    Column("hash", String(64), nullable=False, server_default=""),
)
"""The audit log of changes. Each line has the hash of itself and of the line before. A trigger refuses to change or
delete a row."""

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

APPEND_ONLY = (persons, person_skeletons, audit)
"""Tables whose rows are only ever added."""
