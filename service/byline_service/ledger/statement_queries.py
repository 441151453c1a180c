"""SQL of statement runs, their steps and their lines."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import TypeAdapter
from sqlalchemy import Select, func, insert, select

from byline.api.statements import State, StoredWarning
from byline.errors import NotFound
from byline.index.canonical_json import canonical_json
from byline_service.compensation.allocation import Line
from byline_service.compensation.journal import Record, RunDrafted, RunStepped
from byline_service.compensation.runs import Run, lines_of, state_of
from byline_service.compensation.statements import (
    AllocationStatement,
    ReversalStatement,
    Statement,
    period_of,
)
from byline_service.compensation.timestamps import parse_timestamp, timestamp_text
from byline_service.database import Connection
from byline_service.database.tables.compensation import policies, run_steps, statement_lines, statement_runs
from byline_service.ledger import journal_queries

_WARNINGS = TypeAdapter(tuple[StoredWarning, ...])


class StepRow(NamedTuple):
    """A step of a run."""

    person: str
    at: str
    key: str | None
    """Id of the person's key. None for the command line."""
    comment: str | None


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """A run without its statement."""

    id: str
    sequence: int
    kind: str
    policy: str
    revision: int
    currency: str
    drafted_by: str
    drafted_at: str
    period: str | None
    warnings: tuple[StoredWarning, ...]
    key: str | None
    """Id of the drafter's key. None for the command line."""
    steps: dict[str, StepRow]
    """Steps by name."""

    @property
    def state(self) -> State:
        """Return the state of the run."""
        return state_of(self.steps)


async def add(transaction: Connection, record: Record) -> None:
    """Add a drafted run and its lines.

    Args:
        transaction: The transaction that wrote the journal record.
        record: The record of the draft.
    """
    assert isinstance(record.fact, RunDrafted)
    run_id, statement = record.fact.run, record.fact.statement
    values = {
        "id": run_id,
        "sequence": record.sequence,
        "kind": statement.kind,
        "policy": statement.policy.name,
        "revision": statement.policy.revision,
        "reverses": statement.run if isinstance(statement, ReversalStatement) else None,
        "drafted_by": record.person,
        "key_id": record.fact.by.key,
        "drafted_at": parse_timestamp(record.at),
        **division_columns(statement),
    }
    await transaction.execute(insert(statement_runs).values(values))
    lines = [{"run_id": run_id, **line.model_dump()} for line in lines_of(statement)]
    if lines:
        await transaction.execute(insert(statement_lines), lines)


def division_columns(statement: Statement) -> dict[str, Any]:
    """Return the columns of the period and the warnings of a run."""
    period = period_of(statement)
    if isinstance(statement, ReversalStatement):
        return {"period": period, "since": None, "until": None, "warnings": None}
    written = canonical_json([each.model_dump(mode="json") for each in statement.warnings])
    if not isinstance(statement, AllocationStatement):
        return {"period": period, "since": None, "until": None, "warnings": written.decode("ascii")}
    return {
        "period": period,
        "since": parse_timestamp(statement.since),
        "until": parse_timestamp(statement.until),
        "warnings": written.decode("ascii"),
    }


async def count_open(transaction: Connection, policy: str) -> int:
    """Count the runs of a policy that are neither posted nor ended."""
    chosen = select(func.count()).where(
        statement_runs.c.policy == policy, statement_runs.c.id.not_in(_ended())
    )
    return int((await transaction.execute(chosen)).scalar_one())


async def ended_unposted(transaction: Connection) -> set[str]:
    """Return the ids of all void and rejected runs."""
    return set(
        (
            await transaction.execute(
                select(run_steps.c.run_id).where(run_steps.c.step.in_(("void", "rejection")))
            )
        ).scalars()
    )


async def add_step(transaction: Connection, record: Record) -> None:
    """Add a step of a run.

    Args:
        transaction: The transaction that wrote the journal record.
        record: The record of the step.
    """
    assert isinstance(record.fact, RunStepped)
    values = {
        "run_id": record.fact.run,
        "step": record.fact.kind,
        "sequence": record.sequence,
        "person": record.person,
        "key_id": record.fact.by.key,
        "comment": record.fact.comment,
        "at": parse_timestamp(record.at),
    }
    await transaction.execute(insert(run_steps).values(values))


async def find(transaction: Connection, run_id: str) -> tuple[RunRow, Run]:
    """Return a run with its statement.

    Raises:
        NotFound: There is no run of this id.
    """
    rows = await _rows(transaction, _chosen().where(statement_runs.c.id == run_id))
    if not rows:
        raise NotFound("expected the id of a statement run, got another one")
    row = rows[0]
    (record,) = await journal_queries.records(transaction, [row.sequence])
    assert isinstance(record.fact, RunDrafted)
    fact = record.fact
    steps: Any = {name: step.person for name, step in row.steps.items()}
    return row, Run(
        id=run_id,
        drafted_by=row.drafted_by,
        makers=fact.by.makers,
        statement=fact.statement,
        steps=steps,
    )


async def page(
    transaction: Connection,
    before: int | None,
    limit: int,
    policy: str | None = None,
    *,
    waiting: bool = False,
    kind: str | None = None,
) -> list[RunRow]:
    """Return runs, the newest first.

    Args:
        transaction: An open transaction.
        before: Only runs older than this sequence.
        limit: Most runs to return.
        policy: Only runs of this policy.
        waiting: Only runs that are neither posted nor ended.
        kind: Only runs of this kind.
    """
    chosen = _chosen().order_by(statement_runs.c.sequence.desc()).limit(limit)
    if before is not None:
        chosen = chosen.where(statement_runs.c.sequence < before)
    if policy is not None:
        chosen = chosen.where(statement_runs.c.policy == policy)
    if waiting:
        chosen = chosen.where(statement_runs.c.id.not_in(_ended()))
    if kind is not None:
        chosen = chosen.where(statement_runs.c.kind == kind)
    return await _rows(transaction, chosen)


async def posted_page(
    transaction: Connection, before: int | None, limit: int, owners: Collection[str] | None
) -> list[RunRow]:
    """Return posted runs, the newest first.

    Args:
        transaction: An open transaction.
        before: Only runs older than this sequence.
        limit: Most runs to return.
        owners: Only runs with a line of one of these owners. None for all.
    """
    posted = select(run_steps.c.run_id).where(run_steps.c.step == "posting")
    chosen = _chosen().where(statement_runs.c.id.in_(posted))
    if before is not None:
        chosen = chosen.where(statement_runs.c.sequence < before)
    if owners is not None:
        theirs = select(statement_lines.c.run_id).where(statement_lines.c.owner.in_(owners))
        chosen = chosen.where(statement_runs.c.id.in_(theirs))
    return await _rows(transaction, chosen.order_by(statement_runs.c.sequence.desc()).limit(limit))


async def lines(transaction: Connection, run_id: str, owners: Collection[str] | None) -> list[Line]:
    """Return the lines of a run, by owner.

    Args:
        transaction: An open transaction.
        run_id: The run.
        owners: Only lines of these owners. None for all.
    """
    chosen = select(statement_lines).where(statement_lines.c.run_id == run_id)
    if owners is not None:
        chosen = chosen.where(statement_lines.c.owner.in_(owners))
    found = (await transaction.execute(chosen)).mappings()
    read = [Line.model_validate({key: row[key] for key in Line.model_fields}) for row in found]
    return sorted(read, key=lambda line: line.owner)


async def is_reversed(transaction: Connection, run_id: str) -> bool:
    """Return whether a posted run reverses this one."""
    chosen = (
        select(statement_runs.c.id)
        .join(run_steps, run_steps.c.run_id == statement_runs.c.id)
        .where(statement_runs.c.reverses == run_id, run_steps.c.step == "posting")
    )
    return (await transaction.execute(chosen)).first() is not None


def _ended() -> Select[Any]:
    """Select the ids of runs that are posted, void or rejected."""
    return select(run_steps.c.run_id).where(run_steps.c.step != "approval")


def _chosen() -> Select[Any]:
    return select(statement_runs, policies.c.currency).join(
        policies,
        (policies.c.name == statement_runs.c.policy) & (policies.c.revision == statement_runs.c.revision),
    )


async def _rows(transaction: Connection, chosen: Select[Any]) -> list[RunRow]:
    rows = (await transaction.execute(chosen)).mappings().all()
    wanted = select(run_steps).where(run_steps.c.run_id.in_([row["id"] for row in rows]))
    steps: dict[str, dict[str, StepRow]] = {}
    for step in (await transaction.execute(wanted)).mappings():
        steps.setdefault(step["run_id"], {})[step["step"]] = StepRow(
            step["person"], timestamp_text(step["at"]), step["key_id"], step["comment"]
        )
    return [
        RunRow(
            **{
                key: row[key]
                for key in (
                    "id",
                    "sequence",
                    "kind",
                    "policy",
                    "revision",
                    "currency",
                    "drafted_by",
                    "period",
                )
            },
            warnings=_WARNINGS.validate_json(row["warnings"] or "[]"),
            drafted_at=timestamp_text(row["drafted_at"]),
            key=row["key_id"],
            steps=steps.get(row["id"], {}),
        )
        for row in rows
    ]
