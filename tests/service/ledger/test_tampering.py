"""Whatever is changed behind the service's back is found: every column of every table, every value of every record."""

import json
import sqlite3

import pytest

from byline.index.canonical_json import canonical_json
from byline_service.compensation.journal import record_hash
from byline_service.database.tables.compensation import APPEND_ONLY
from byline_service.ledger import run_workflow

SCORES = {"ash": (30, 31, 29), "birch": (60, 55, 62), "elm": (-5, -4, -6)}
TABLES = [table.name for table in APPEND_ONLY]


@pytest.fixture
def told(sqlite_books):
    """Books with a bit of everything, and a plain connection whose triggers are gone.

    Yields:
        The books and the connection.
    """
    books = sqlite_books
    books.policy(floor=30_000)
    books.book(SCORES, reference="first")
    books.book({"ash": (3, 4, 5), "cedar": (7, 1, 2)})
    run_id = books.draft()
    books.posted(run_id)
    books.posted(books.release("agreed", {"ash": 7}))
    books.do(run_workflow.void, books.release("again", {"ash": 7}))
    books.policy()
    books.book(SCORES)
    second = books.draft()
    books.posted(second)
    books.posted(books.do(run_workflow.reverse, second, "a mistake").id)
    books.end_hold(books.hold("ash", "dispute", index="digits", work="17"))
    books.roster({"ash": 1})
    books.consent(owner="oak", work="17", version="v")
    books.party("Ash")
    books.rights("owner,right,party,share,from,to\nwillow,author,Ash,1000000,,\n")
    books.paid()
    books.draft(period="2026-04")
    assert books.verify().findings == []
    connection = sqlite3.connect(books.used.database.url.database, isolation_level=None)
    triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN "
    for (name,) in connection.execute(f"{triggers}({','.join('?' * len(TABLES))})", TABLES).fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    yield books, connection
    connection.close()


def found(books, noted=None):
    """Findings but for the missing triggers, each of which is one."""
    findings = books.verify(noted).findings
    triggers = [each for each in findings if each.where.startswith("table ")]
    assert len(triggers) == 2 * len(TABLES)
    return [each for each in findings if each not in triggers]


def other(value):
    if value is None:
        return "text"
    if isinstance(value, int):
        return value + 1
    return value[:-1] + ("0" if value[-1] != "0" else "1")


@pytest.mark.parametrize("table", TABLES)
def test_every_column_of_the_first_and_last_row(told, table):
    books, connection = told
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    ids = [row[0] for row in connection.execute(f"SELECT rowid FROM {table} ORDER BY rowid")]
    for rowid in {ids[0], ids[-1]}:
        for column in columns:
            (before,) = connection.execute(
                f"SELECT {column} FROM {table} WHERE rowid = ?", [rowid]
            ).fetchone()
            changed = (
                other(before) if column != "step" else next(s for s in ("void", "posting") if s != before)
            )
            try:
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", [changed, rowid])
            except sqlite3.IntegrityError:
                continue  # another row has this key: the database itself refuses it
            assert found(books), (column, before, changed)
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", [before, rowid])
    assert not found(books)


@pytest.mark.parametrize("table", TABLES)
def test_every_row_that_is_taken_out_or_put_in(told, table):
    books, connection = told
    for row in connection.execute(f"SELECT rowid, * FROM {table}").fetchall():
        connection.execute(f"DELETE FROM {table} WHERE rowid = ?", [row[0]])
        assert found(books), row
        marks = ",".join("?" * (len(row) - 1))
        connection.execute(f"INSERT INTO {table} VALUES ({marks})", row[1:])
    assert not found(books)


def leaves(document, path=()):
    if isinstance(document, dict):
        for key, value in document.items():
            yield from leaves(value, (*path, key))
    elif isinstance(document, list):
        for position, value in enumerate(document):
            yield from leaves(value, (*path, position))
    else:
        yield path


def with_other(document, path):
    changed = json.loads(json.dumps(document))
    place = changed
    for key in path[:-1]:
        place = place[key]
    value = place[path[-1]]
    place[path[-1]] = (not value) if isinstance(value, bool) else other(value) if value != "" else "x"
    return changed


def test_every_value_of_every_record_though_its_hash_is_made_to_fit(told):
    """One hash is written anew, so that the record itself looks right: then the chain, a rule or a table does not."""
    books, connection = told
    rows = connection.execute("SELECT sequence, document, hash FROM journal ORDER BY sequence").fetchall()
    chosen = [*rows[:3], rows[4], rows[-2], rows[-1]]
    tried = 0
    for sequence, document, stored in chosen:
        record = json.loads(document)
        for path in list(leaves(record))[:: 1 if sequence == rows[-1][0] else 4]:
            written = canonical_json(with_other(record, path)).decode()
            update = "UPDATE journal SET document = ?, hash = ? WHERE sequence = ?"
            connection.execute(update, [written, record_hash(written.encode()), sequence])
            assert found(books), path
            connection.execute(update, [document, stored, sequence])
            tried += 1
    assert tried > 60
    assert not found(books)


def test_a_chain_that_was_written_anew_is_found_by_a_head_that_was_noted(told):
    books, connection = told
    noted = books.verify().records, books.verify().head
    assert not found(books, noted)
    rows = connection.execute("SELECT sequence, document FROM journal ORDER BY sequence").fetchall()
    previous = "0" * 64
    for sequence, document in rows:
        record = json.loads(document)
        record["previous"] = previous
        if sequence == 3:
            record["fact"]["event"]["reference"] = "another"
            connection.execute("UPDATE events SET reference = 'another' WHERE sequence = 3")
        written = canonical_json(record)
        previous = record_hash(written)
        update = "UPDATE journal SET document = ?, hash = ? WHERE sequence = ?"
        connection.execute(update, [written.decode(), previous, sequence])
    # Statements hold the events' digests: whoever writes all anew must write those anew too.
    assert any("to the byte" in each.what for each in found(books))
    assert any("noted" in each.what for each in found(books, noted))


def test_scores_of_a_chain_that_was_written_anew_are_not_signed(told):
    """The digests of the statements, the chain and the tables could be made to fit. The signature could not."""
    books, connection = told
    for sequence, document in connection.execute("SELECT sequence, document FROM journal").fetchall():
        record = json.loads(document)
        if record["fact"]["kind"] == "event":
            scores = record["fact"]["event"]["scores"]
            scores["ash"] = [99, 99, 99]
            written = canonical_json(record)
            update = "UPDATE journal SET document = ?, hash = ? WHERE sequence = ?"
            connection.execute(update, [written.decode(), record_hash(written), sequence])
    assert sum("signature of a known key" in each.what for each in found(books)) == 3


def test_records_that_are_taken_off_the_end_are_found(told):
    books, connection = told
    noted = books.verify().records, books.verify().head
    for table in ("statement_lines", "statement_runs"):
        last = "SELECT id FROM statement_runs ORDER BY sequence DESC LIMIT 1"
        key = "run_id" if table == "statement_lines" else "id"
        connection.execute(f"DELETE FROM {table} WHERE {key} = ({last})")
    connection.execute("DELETE FROM journal WHERE sequence = (SELECT max(sequence) FROM journal)")
    assert not found(books)  # a shorter journal is a right one …
    assert found(books, noted)  # … which the noted head is not in


def test_another_person_must_have_approved(told):
    """A chain written by one who approves his own draft breaks the rule, whatever its hashes are."""
    books, connection = told
    update = "UPDATE journal SET document = ?, hash = ? WHERE sequence = ?"
    for sequence, document in connection.execute("SELECT sequence, document FROM journal").fetchall():
        record = json.loads(document)
        if record["fact"]["kind"] == "approval":
            record["person"] = "ada"
            written = canonical_json(record)
            connection.execute(update, [written.decode(), record_hash(written), sequence])
    assert any("another person" in each.what for each in found(books))


def test_a_reversal_of_a_run_that_is_not_there_is_found(told):
    books, connection = told
    for sequence, document in connection.execute("SELECT sequence, document FROM journal").fetchall():
        record = json.loads(document)
        if record["fact"].get("statement", {}).get("kind") == "reversal":
            record["fact"]["statement"]["run"] = "another"
            written = canonical_json(record)
            update = "UPDATE journal SET document = ?, hash = ? WHERE sequence = ?"
            connection.execute(update, [written.decode(), record_hash(written), sequence])
    assert sum("reversed run does not exist" in each.what for each in found(books)) == 2
