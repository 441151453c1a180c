"""Verifying a registered version, and noting how far that is and what came of it."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from byline.errors import BylineError
from byline_service.accounts.scopes import Caller
from byline_service.database import Database
from byline_service.versions import transactions
from byline_service.versions.directory import Progress, UnusableError
from byline_service.versions.records import VersionFacts, VersionRecord

log = structlog.get_logger("service.versions")
_PROGRESS_SECONDS = 1.0
Read = Callable[[Progress], Awaitable[None]]
"""Reads a version as `IndexDirectory.verify` does, telling how far it is."""


async def begin(database: Database, found: VersionFacts) -> VersionFacts:
    """Note that a version's files are about to be read.

    Args:
        database: Where it is registered.
        found: What its manifest says now.

    Returns:
        What it must turn out to be: as it was registered, or where that is not known, as it is now.

    Raises:
        NotFound: It is not registered.
        Conflict: It is being verified already, or retired.
    """
    known = await transactions.begin_check(database, found)
    return VersionFacts(
        index=found.index,
        version=found.version,
        manifest_digest=known.manifest_digest or found.manifest_digest,
        recipe=known.recipe or found.recipe,
        recipe_fingerprint=known.recipe_fingerprint or found.recipe_fingerprint,
    )


async def finish(database: Database, caller: Caller, facts: VersionFacts, read: Read) -> VersionRecord:
    """Read a version and note what came of it.

    Args:
        database: Where `begin` noted that this would happen.
        caller: Who wants it verified.
        facts: From `begin`.
        read: Reads it.

    Returns:
        The version, verified or in quarantine.

    Raises:
        Exception: `read` ended without a result; the check is given up.
    """
    progress = [0, 0]

    def told(done: int, total: int) -> None:
        progress[:] = done, total

    telling = asyncio.create_task(_tell(database, facts, progress))
    try:
        await read(told)
    except UnusableError as error:
        await transactions.quarantine(database, caller, facts, str(error))
    except BaseException:
        telling.cancel()
        await transactions.give_up_check(database, facts)
        raise
    else:
        await transactions.verified(database, caller, facts)
    finally:
        telling.cancel()
    async with database.read() as tx:
        return await transactions.get_version(tx, facts)


async def _tell(database: Database, facts: VersionFacts, progress: list[int]) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_SECONDS)
        try:
            await transactions.note_progress(database, facts, *progress)
        except BylineError as error:
            log.warning("progress not noted", error=type(error).__name__)
