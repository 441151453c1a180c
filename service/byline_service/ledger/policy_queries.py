"""SQL of policy revisions."""

from sqlalchemy import func, insert, select

from byline.errors import NotFound
from byline_service.compensation.journal import PolicyRevised, Record
from byline_service.compensation.money import minor_digits
from byline_service.compensation.policy import Policy
from byline_service.database import Connection
from byline_service.database.tables.compensation import policies
from byline_service.ledger import journal_queries


async def add(transaction: Connection, policy: Policy, sequence: int) -> None:
    """Add a revision.

    Args:
        transaction: The transaction that wrote the journal record.
        policy: The revision.
        sequence: Sequence of the record.
    """
    values = {
        "name": policy.name,
        "revision": policy.revision,
        "sequence": sequence,
        "currency": policy.currency,
        "minor_digits": minor_digits(policy.currency),
    }
    await transaction.execute(insert(policies).values(values))


async def newest(transaction: Connection, name: str) -> Policy | None:
    """Return the newest revision of a policy. None if there is no such policy."""
    chosen = select(policies.c.sequence).where(policies.c.name == name).order_by(policies.c.revision.desc())
    sequence = (await transaction.execute(chosen.limit(1))).scalar()
    return None if sequence is None else (await _at(transaction, [sequence]))[0]


async def find(transaction: Connection, name: str, revision: int | None = None) -> Policy:
    """Return a revision of a policy. The newest by default.

    Raises:
        NotFound: There is no such revision.
    """
    chosen = select(policies.c.sequence).where(policies.c.name == name)
    if revision is not None:
        chosen = chosen.where(policies.c.revision == revision)
    sequence = (await transaction.execute(chosen.order_by(policies.c.revision.desc()).limit(1))).scalar()
    if sequence is None:
        raise NotFound("expected the name and revision of a policy, got another name or revision")
    return (await _at(transaction, [sequence]))[0]


async def page(transaction: Connection, after: str | None, limit: int) -> list[Policy]:
    """Return the newest revision of each policy, by name.

    Args:
        transaction: An open transaction.
        after: Only names after this one.
        limit: Most policies to return.
    """
    chosen = select(func.max(policies.c.sequence), policies.c.name).group_by(policies.c.name)
    if after is not None:
        chosen = chosen.where(policies.c.name > after)
    rows = (await transaction.execute(chosen.order_by(policies.c.name).limit(limit))).all()
    found = await _at(transaction, sorted(row[0] for row in rows))
    return sorted(found, key=lambda policy: policy.name)


async def current(transaction: Connection) -> list[Policy]:
    """Return the newest revision of every policy."""
    chosen = select(func.max(policies.c.sequence)).group_by(policies.c.name)
    return await _at(transaction, sorted((await transaction.execute(chosen)).scalars()))


async def revisions(transaction: Connection, name: str) -> list[Policy]:
    """Return all revisions of a policy, the first one first.

    Raises:
        NotFound: There is no such policy.
    """
    return [revised.policy for _, revised in await history(transaction, name)]


async def history(transaction: Connection, name: str) -> list[tuple[Record, PolicyRevised]]:
    """Return the journal records of a policy's revisions, the first one first.

    Raises:
        NotFound: There is no such policy.
    """
    chosen = select(policies.c.sequence).where(policies.c.name == name).order_by(policies.c.sequence)
    sequences = list((await transaction.execute(chosen)).scalars())
    if not sequences:
        raise NotFound("expected the name of a policy, got another one")
    found = await journal_queries.records(transaction, sequences)
    return [(record, record.fact) for record in found if isinstance(record.fact, PolicyRevised)]


async def founded(transaction: Connection, name: str) -> str:
    """Return the time of the first revision of a policy."""
    chosen = select(policies.c.sequence).where(policies.c.name == name, policies.c.revision == 1)
    sequence = (await transaction.execute(chosen)).scalar_one()
    (record,) = await journal_queries.records(transaction, [sequence])
    return record.at


async def _at(transaction: Connection, sequences: list[int]) -> list[Policy]:
    facts = [record.fact for record in await journal_queries.records(transaction, sequences)]
    return [fact.policy for fact in facts if isinstance(fact, PolicyRevised)]
