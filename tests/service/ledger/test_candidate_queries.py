"""SQL and the replay find the same events for a draft, at every record of a ledger with all cases."""

from sqlalchemy import select

from byline_service.compensation.budgets import spending
from byline_service.compensation.calendar import period_named
from byline_service.compensation.period_events import Search
from byline_service.database.tables.compensation import event_claims
from byline_service.ledger import candidate_queries, journal_queries, policy_queries, run_workflow

SCORES = {"ash": (30, 31, 29), "birch": (60, 55, 62)}


def busy(books):
    """Three months: paid, reversed, paid again, late, in two groups and by two policies of one."""
    books.policy(largest_weight=1)
    books.policy(name="second", indexes=("others",))
    books.policy(name="training", group="training")
    for month in (1, 2, 3):
        books.clock.to(2026, 2 + month, 10)
        for weight in (1, 1, 2):
            books.book(SCORES, weight=weight)
        books.book(SCORES, index="others")
        name = books.clock.end_month()
        if month != 2:
            books.posted(books.draft("second", name))
            run_id = books.draft(period=name)
            books.posted(run_id)
            if month == 1:
                books.posted(books.do(run_workflow.reverse, run_id, "a mistake").id)
                books.posted(books.draft(period=name))
                books.posted(books.draft("training", name))
    books.policy(largest_weight=2)
    books.book(SCORES)
    books.clock.end_month()


def test_every_case_at_every_record(books):
    busy(books)

    async def work(reading):
        last = await journal_queries.last_sequence(reading)
        seen = set()
        for name in ("royalties", "second", "training"):
            policy = await policy_queries.find(reading, name)
            for period in ("2026-03", "2026-04", "2026-05", "2026-06"):
                for basis in range(3, last + 1, 2):
                    for kind in ("allocation", "adjustment"):
                        search = Search(
                            policy=policy, kind=kind, period=period_named("month", period), basis=basis
                        )
                        seen.add(await compared(reading, search))
        return seen

    seen = books.read(work)
    for place in range(4):
        assert {bool(each[place]) for each in seen} == {True, False}, place
    assert books.verify().findings == []


async def compared(reading, search):
    """Compare the events of SQL with those of the journal, by brute force."""
    found = await candidate_queries.candidates(reading, search)
    runs = await candidate_queries.posted_divisions(reading, search.policy.name)
    paid = [run for run in runs if run.kind == "allocation" and run.counts(search.basis)]
    months = [period_named("month", run.period) for run in paid]
    claims = await all_claims(reading, search)
    own, late, earlier, elsewhere, others = [], [], 0, {}, {}
    for sequence, one in await all_events(reading):
        covered = not search.policy.indexes or one.index in search.policy.indexes
        if sequence > search.basis or one.booked_at >= search.period.until or not covered:
            continue
        before = one.booked_at < search.period.since
        payer = claims.get((search.policy.group, one.id))
        if payer is not None:
            if payer != search.policy.name and not before:
                elsewhere[payer] = elsewhere.get(payer, 0) + 1
            continue
        if not before:
            own.append(one.id)
        elif search.kind == "allocation":
            is_late = any(month.since <= one.booked_at < month.until for month in months)
            late += [one.id] if is_late else []
            earlier += not is_late
    for group, event_id in claims:
        if group != search.policy.group and event_id in (*late, *own) and claims[group, event_id]:
            others.setdefault(event_id, []).append(claims[group, event_id])
    assert [each.id for each in found.events] == own
    assert [each.id for each in found.late] == late
    assert (found.earlier, dict(found.elsewhere), found.late_waiting) == (earlier, elsewhere, 0)
    assert {key: list(value) for key, value in found.other_groups.items()} == others
    assert found.spending == spending(runs, search.period.name, search.basis)
    return bool(late), bool(earlier), bool(elsewhere), bool(others)


async def all_events(reading):
    rows = [row async for row in journal_queries.rows(reading)]
    records = await journal_queries.records(reading, [row.sequence for row in rows])
    return [(each.sequence, each.fact.event) for each in records if each.fact.kind == "event"]


async def all_claims(reading, search):
    """(group, event) -> the policy that has paid for it at the basis, or None."""
    found = {}
    chosen = select(event_claims).order_by(event_claims.c.sequence)
    for row in (await reading.execute(chosen)).mappings():
        if row["sequence"] <= search.basis:
            key = row["policy_group"], row["event_id"]
            found[key] = None if found.get(key) else row["policy"]
    return found


def test_late_events_beyond_a_runs_limits_wait(books, monkeypatch):
    books.policy(largest_weight=1)
    books.book(SCORES)
    for _ in range(2):
        books.book(SCORES, weight=2)
    books.posted(books.draft())
    books.policy(largest_weight=2)
    for _ in range(2):
        books.book(SCORES)
    for module in ("ledger.candidate_queries", "compensation.drafting"):
        monkeypatch.setattr(f"byline_service.{module}.MOST_EVENTS", 3)
    run_id = books.draft()
    assert books.warned(run_id) == [("late", 1), ("late_waiting", 1)]
    books.posted(run_id)
    assert books.verify().findings == []
