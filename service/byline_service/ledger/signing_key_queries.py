"""SQL of the public keys that signed events."""

from sqlalchemy import insert, select

from byline_service.compensation.journal import SigningKeyAdded
from byline_service.compensation.timestamps import parse_timestamp
from byline_service.database import Connection
from byline_service.database.tables.compensation import signing_keys
from byline_service.ledger import journal_queries
from byline_service.signing.keys import PublicKey


async def remember(transaction: Connection, person: str, key: PublicKey) -> None:
    """Add a key to the journal, unless it is there.

    Args:
        transaction: The open transaction, which holds the journal's next position.
        person: The person whose event the key signed first.
        key: The key.
    """
    chosen = select(signing_keys.c.id).where(signing_keys.c.id == key.id)
    if (await transaction.execute(chosen)).first() is not None:
        return
    place = await journal_queries.next_position(transaction)
    await journal_queries.write(transaction, place, person, SigningKeyAdded(public_key=key.text))
    values = {
        "id": key.id,
        "sequence": place.sequence,
        "public_key": key.text,
        "added_at": parse_timestamp(place.at),
    }
    await transaction.execute(insert(signing_keys).values(values))


async def known(transaction: Connection) -> list[PublicKey]:
    """Return all keys that signed events, the newest first."""
    chosen = select(signing_keys.c.public_key).order_by(signing_keys.c.sequence.desc())
    return [PublicKey.from_text(text) for text in (await transaction.execute(chosen)).scalars()]
