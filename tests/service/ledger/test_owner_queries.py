"""Owners' sums in SQL, against the ledger's entries and lines added up by hand, on both databases."""

from collections import Counter

from byline_service.ledger import entry_queries, owner_queries, statement_queries
from tests.service.office import keep


def test_accounts_totals_and_runs_are_the_entries_sums(books):
    runs = keep(books)
    entries = [row.entry for row in books.read(entry_queries.page, None, 1000)]
    by_account = Counter()
    for each in entries:
        by_account[each.account] += each.amount
    found = books.read(owner_queries.accounts, "royalties", None)
    for each in found:
        for account in owner_queries.ACCOUNTS:
            amounts = [e.amount for e in entries if e.owner == each.owner and e.account == account]
            assert getattr(each, account) == sum(amounts)
    assert {each.owner for each in found} == {e.owner for e in entries if e.owner}
    totals = books.read(owner_queries.totals, "royalties", None)
    assert totals == {name: n for name, n in by_account.items() if name in totals}
    assert books.read(owner_queries.totals, "royalties", {"owner 1"}).get("funding") is None

    both = [runs.march, runs.april]
    lines = {run: books.read(statement_queries.lines, run, None) for run in both}
    sums = books.read(owner_queries.payable_of_runs, both, None)
    assert sums == {run: sum(line.payable for line in own) for run, own in lines.items()}
    largest = books.read(owner_queries.payable_of_largest, both, None, 2)
    ranked = Counter()
    for own in lines.values():
        ranked.update({line.owner: line.payable for line in own})
    assert list(largest) == [owner for owner, _ in ranked.most_common(2)]
    for owner, by_run in largest.items():
        assert by_run == {
            run: line.payable for run, own in lines.items() for line in own if line.owner == owner
        }


def test_an_owners_lines_are_those_of_posted_runs_newest_first(books):
    runs = keep(books)
    books.posted(runs.april)
    found = books.read(owner_queries.lines_of_owner, "Владимир", None, 10)
    assert [(run.id, line.owner) for run, line in found] == [
        (runs.april, "Владимир"),
        (runs.march, "Владимир"),
    ]
    assert [line for _, line in found] == [
        books.read(statement_queries.lines, run.id, {"Владимир"})[0] for run, _ in found
    ]
    assert (
        books.read(owner_queries.lines_of_owner, "Владимир", found[0][0].sequence, 10)[0][0].id == runs.march
    )
    assert books.read(owner_queries.lines_of_owner, "nobody", None, 10) == []
