"""The table of recorded answers. Its rows expire."""

from sqlalchemy import Boolean, Column, Index, String, Table, Text

from byline_service.database.tables.common import Moment, metadata

recorded_answers = Table(
    "recorded_answers",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("index_name", String(64), nullable=False),
    Column("version", String(64), nullable=False),
    Column("person", String(100), nullable=False),
    Column("shared", Boolean, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("question", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Index("ix_recorded_answers_expires_at", "expires_at"),
    Index("ix_recorded_answers_person", "person"),
)
"""Answers as they were given, with their questions."""
