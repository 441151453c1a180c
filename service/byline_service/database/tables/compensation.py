"""Tables of the journal, and of its contents for queries: events, policies, statement runs, ledger.

Rows are only ever added: a trigger refuses to change or delete one. `byline ledger verify` compares every column of
every table with the journal.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
)

from byline_service.database.tables.common import Moment, metadata

journal = Table(
    "journal",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("document", Text, nullable=False),
    Column("hash", String(64), nullable=False),
)
"""Journal records in canonical JSON, chained by their hashes."""

events = Table(
    "events",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("sequence", BigInteger, ForeignKey("journal.sequence"), nullable=False, unique=True),
    Column("booked_at", Moment, nullable=False),
    Column("index_name", String(64), nullable=False),
    Column("version", String(64), nullable=False),
    Column("reference", Text),
    Column("weight", BigInteger, nullable=False),
    Index("ix_events_booked_at", "booked_at"),
    Index("ix_events_reference", "reference"),
)
"""Attributed generations. The journal holds their scores."""

policies = Table(
    "policies",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, ForeignKey("journal.sequence"), nullable=False, unique=True),
    Column("currency", String(3), nullable=False),
    Column("minor_digits", Integer, nullable=False),
)
"""Revisions of policies."""

statement_runs = Table(
    "statement_runs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("sequence", BigInteger, ForeignKey("journal.sequence"), nullable=False, unique=True),
    Column("kind", String(10), nullable=False),
    Column("policy", String(64), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("reverses", String(32), ForeignKey("statement_runs.id")),
    Column("drafted_by", String(100), nullable=False),
    Column("drafted_at", Moment, nullable=False),
    Column("period", String(10)),
    Column("since", Moment),
    Column("until", Moment),
    Column("warnings", Text),
    Column("key_id", String(12)),
    Index("ix_statement_runs_policy", "policy"),
)
"""Drafted runs. The journal holds the entries that each would post. A run that divides a period has its limits, and
warnings in canonical JSON."""

run_steps = Table(
    "run_steps",
    metadata,
    Column("run_id", String(32), ForeignKey("statement_runs.id"), primary_key=True),
    Column("step", String(9), primary_key=True),
    Column("sequence", BigInteger, ForeignKey("journal.sequence"), nullable=False, unique=True),
    Column("person", String(100), nullable=False),
    Column("at", Moment, nullable=False),
    Column("key_id", String(12)),
    Column("comment", Text),
    CheckConstraint("step IN ('approval', 'rejection', 'posting', 'void')", name="step_known"),
)
"""Approvals, rejections, postings and voids of runs."""

statement_lines = Table(
    "statement_lines",
    metadata,
    Column("run_id", String(32), ForeignKey("statement_runs.id"), primary_key=True),
    Column("owner", Text, primary_key=True),
    Column("earned", BigInteger, nullable=False),
    Column("brought", BigInteger, nullable=False),
    Column("payable", BigInteger, nullable=False),
    Column("carried", BigInteger, nullable=False),
    Column("escrow", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False, server_default="0"),
    Index("ix_statement_lines_owner", "owner"),
)
"""Lines of runs: each owner's amounts, in minor units."""

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("sequence", BigInteger, ForeignKey("journal.sequence"), primary_key=True, autoincrement=False),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("run_id", String(32), ForeignKey("statement_runs.id"), nullable=False),
    Column("policy", String(64), nullable=False),
    Column("account", String(11), nullable=False),
    Column("owner", Text),
    Column("currency", String(3), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Index("ix_ledger_entries_policy", "policy", "account", "owner"),
)
"""Entries of posted runs, in minor units: positive into an account, negative out of it."""

event_claims = Table(
    "event_claims",
    metadata,
    Column("policy_group", String(64), primary_key=True),
    Column("event_id", String(32), ForeignKey("events.id"), primary_key=True),
    Column("claim", Integer, primary_key=True, autoincrement=False),
    Column("policy", String(64), nullable=False),
    Column("run_id", String(32), ForeignKey("statement_runs.id"), nullable=False),
    Column("sequence", BigInteger, ForeignKey("journal.sequence"), nullable=False),
)
"""Claims of posted runs on events, in a group of policies: even claims pay an event, odd ones reverse that. No two claims
of a group share a number."""

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("sequence", BigInteger, ForeignKey("journal.sequence"), nullable=False, unique=True),
    Column("public_key", String(64), nullable=False),
    Column("added_at", Moment, nullable=False),
)
"""Public keys that verify the signatures of events."""

holds = Table(
    "holds",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("sequence", BigInteger, ForeignKey("journal.sequence"), nullable=False, unique=True),
    Column("owner", Text, nullable=False),
    Column("index_name", String(64)),
    Column("work", Text),
    Column("nature", String(8), nullable=False),
    Column("reason", Text, nullable=False),
    Column("person", String(100), nullable=False),
    Column("at", Moment, nullable=False),
    Index("ix_holds_owner", "owner"),
)
"""Holds and disputes of owners and works."""

hold_ends = Table(
    "hold_ends",
    metadata,
    Column("hold_id", String(32), ForeignKey("holds.id"), primary_key=True),
    Column("sequence", BigInteger, ForeignKey("journal.sequence"), nullable=False, unique=True),
    Column("reason", Text, nullable=False),
    Column("person", String(100), nullable=False),
    Column("at", Moment, nullable=False),
)
"""Ends of holds."""
parties = Table(
    "parties",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, ForeignKey("journal.sequence"), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("recorded_by", String(100), nullable=False),
    Column("recorded_at", Moment, nullable=False),
    Index("ix_parties_name", "name"),
)
"""Revisions of parties. The journal holds their labels and identifiers."""

party_labels = Table(
    "party_labels",
    metadata,
    Column("label", Text, primary_key=True),
    Column("party", String(16), nullable=False),
    Column("sequence", BigInteger, ForeignKey("journal.sequence"), nullable=False),
    Index("ix_party_labels_party", "party"),
)
"""Labels of parties. A label never moves to another party."""

party_details = Table(
    "party_details",
    metadata,
    Column("party", String(16), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("salt", String(64), nullable=False),
    Column("document", Text, nullable=False),
)
"""Private details of parties, whose salted digests the journal holds. Their rows can be deleted: not append-only."""

rights_tables = Table(
    "rights_tables",
    metadata,
    Column("index_name", String(64), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, ForeignKey("journal.sequence"), nullable=False, unique=True),
    Column("rows", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
)
"""Revisions of the rights tables of indexes. The journal holds their rows."""

rosters = Table(
    "rosters",
    metadata,
    Column("sequence", BigInteger, ForeignKey("journal.sequence"), primary_key=True, autoincrement=False),
    Column("index_name", String(64), nullable=False),
    Column("version", String(64), nullable=False),
    Column("owners", Integer, nullable=False),
    Column("person", String(100), nullable=False),
    Column("at", Moment, nullable=False),
    Index("ix_rosters_index_name", "index_name"),
)
"""Recorded owners of index versions. The journal holds their numbers of rows."""

payout_confirmations = Table(
    "payout_confirmations",
    metadata,
    Column("run_id", String(32), ForeignKey("statement_runs.id"), primary_key=True),
    Column("sequence", BigInteger, ForeignKey("journal.sequence"), nullable=False, unique=True),
    Column("reference", Text, nullable=False),
    Column("reference_key", Text, nullable=False, unique=True),
    Column("value_date", Date, nullable=False),
    Column("person", String(100), nullable=False),
    Column("at", Moment, nullable=False),
    Column("key_id", String(12)),
)
"""Payouts that a bank has confirmed. No two have the same reference."""
consents = Table(
    "consents",
    metadata,
    Column("sequence", BigInteger, ForeignKey("journal.sequence"), primary_key=True, autoincrement=False),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("owner", Text, nullable=False),
    Column("index_name", String(64), nullable=False),
    Column("work", Text),
    Column("version", String(64)),
    Column("status", String(10), nullable=False),
    Column("since", Moment, nullable=False),
    Column("source", Text, nullable=False),
    Column("person", String(100), nullable=False),
    Column("at", Moment, nullable=False),
    Index("ix_consents_index_name", "index_name"),
)
"""Status of works over time."""

APPEND_ONLY = (
    journal,
    events,
    policies,
    statement_runs,
    run_steps,
    statement_lines,
    ledger_entries,
    event_claims,
    signing_keys,
    holds,
    hold_ends,
    rosters,
    parties,
    party_labels,
    payout_confirmations,
    consents,
    rights_tables,
)
"""All tables, in the order of their creation."""
