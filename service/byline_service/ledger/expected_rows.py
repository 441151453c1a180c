"""The rows that the tables beside the journal must have, column by column."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Table

from byline_service.compensation.money import minor_digits
from byline_service.compensation.replay.ledger import ReplayedLedger
from byline_service.compensation.runs import lines_of
from byline_service.compensation.statements import ReversalStatement
from byline_service.compensation.timestamps import parse_timestamp
from byline_service.database.tables import compensation as tables
from byline_service.ledger import consent_queries, hold_queries, rights_queries, roster_queries
from byline_service.ledger.statement_queries import division_columns

Row = Mapping[str, Any]


def expected_rows(book: ReplayedLedger) -> dict[Table, dict[tuple[Any, ...], Row]]:
    """Derive every table's rows from the journal.

    Args:
        book: The journal, read to its end.

    Returns:
        Table -> primary key -> every column.
    """
    made: dict[Table, Iterable[Row]] = {
        tables.events: _events(book),
        tables.policies: _policies(book),
        tables.statement_runs: _runs(book),
        tables.run_steps: _steps(book),
        tables.statement_lines: _lines(book),
        tables.ledger_entries: _entries(book),
        tables.event_claims: _claims(book),
        tables.signing_keys: _signing_keys(book),
        tables.rosters: roster_queries.expected(book.rosters),
        tables.consents: consent_queries.expected(book.consents),
        tables.holds: hold_queries.expected_holds(book.holds),
        tables.hold_ends: hold_queries.expected_ends(book.holds),
        tables.parties: _parties(book),
        tables.party_labels: _party_labels(book),
        tables.payout_confirmations: _confirmations(book),
        tables.rights_tables: _rights_tables(book),
    }
    return {
        table: {tuple(row[column.name] for column in table.primary_key.columns): row for row in rows}
        for table, rows in made.items()
    }


def _events(book: ReplayedLedger) -> Iterable[Row]:
    for each in book.events.values():
        yield {
            "id": each.id,
            "sequence": each.sequence,
            "booked_at": parse_timestamp(each.at),
            "index_name": each.index,
            "version": each.version,
            "reference": each.reference,
            "weight": each.weight,
        }


def _signing_keys(book: ReplayedLedger) -> Iterable[Row]:
    for key_id, (stamp, key) in book.signing_keys.items():
        yield {
            "id": key_id,
            "sequence": stamp.sequence,
            "public_key": key.text,
            "added_at": parse_timestamp(stamp.at),
        }


def _parties(book: ReplayedLedger) -> Iterable[Row]:
    for party_id, revisions in book.parties.revisions.items():
        for sequence, party in revisions:
            stamp = book.party_stamps[party_id, party.revision]
            yield {
                "id": party_id,
                "revision": party.revision,
                "sequence": sequence,
                "name": party.name,
                "recorded_by": stamp.person,
                "recorded_at": parse_timestamp(stamp.at),
            }


def _party_labels(book: ReplayedLedger) -> Iterable[Row]:
    for label, (sequence, party) in book.parties.labels.items():
        yield {"label": label, "party": party, "sequence": sequence}


def _confirmations(book: ReplayedLedger) -> Iterable[Row]:
    for key, each in book.confirmations.items():
        yield {
            "run_id": each.run,
            "sequence": each.stamp.sequence,
            "reference": each.reference,
            "reference_key": key,
            "value_date": each.value_date,
            "person": each.stamp.person,
            "at": parse_timestamp(each.stamp.at),
            "key_id": each.stamp.key,
        }


def _rights_tables(book: ReplayedLedger) -> Iterable[Row]:
    for revisions in book.rights.revisions.values():
        for sequence, table in revisions:
            yield rights_queries.row_of(sequence, table)


def _policies(book: ReplayedLedger) -> Iterable[Row]:
    for sequence, policy in book.policies.values():
        yield {
            "name": policy.name,
            "revision": policy.revision,
            "sequence": sequence,
            "currency": policy.currency,
            "minor_digits": minor_digits(policy.currency),
        }


def _runs(book: ReplayedLedger) -> Iterable[Row]:
    for run in book.runs.values():
        stamp, statement = book.stamps[run.id, "draft"], run.statement
        yield {
            "id": run.id,
            "sequence": stamp.sequence,
            "kind": statement.kind,
            "policy": statement.policy.name,
            "revision": statement.policy.revision,
            "reverses": statement.run if isinstance(statement, ReversalStatement) else None,
            "drafted_by": stamp.person,
            "key_id": stamp.key,
            "drafted_at": parse_timestamp(stamp.at),
            **division_columns(statement),
        }


def _steps(book: ReplayedLedger) -> Iterable[Row]:
    for (run, step), stamp in book.stamps.items():
        if step != "draft":
            yield {
                "run_id": run,
                "step": step,
                "sequence": stamp.sequence,
                "person": stamp.person,
                "key_id": stamp.key,
                "comment": stamp.comment,
                "at": parse_timestamp(stamp.at),
            }


def _lines(book: ReplayedLedger) -> Iterable[Row]:
    for run in book.runs.values():
        for line in lines_of(run.statement):
            yield {"run_id": run.id, **line.model_dump()}


def _entries(book: ReplayedLedger) -> Iterable[Row]:
    for each in book.entries:
        yield {
            "sequence": each.sequence,
            "line": each.line,
            "run_id": each.run,
            "policy": each.policy.name,
            "currency": each.policy.currency,
            **each.entry.model_dump(),
        }


def _claims(book: ReplayedLedger) -> Iterable[Row]:
    for (group, event_id), claims in book.claims.by_event.items():
        for number, claim in enumerate(claims):
            yield {
                "policy_group": group,
                "event_id": event_id,
                "claim": number,
                "policy": claim.policy,
                "run_id": claim.run,
                "sequence": claim.sequence,
            }
