"""Verification of a registered version, with its progress and its result in the database."""

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
"""Reads a version as `IndexDirectory.verify` does, and reports the progress."""


async def begin(database: Database, found: VersionFacts) -> VersionFacts:
    """Record that a verification starts.

    Args:
        database: The database of the versions.
        found: The version as its manifest is now.

    Returns:
        The version as it must be: as it was registered, or if that is unknown, as it is now.

    Raises:
        NotFound: The version is not registered.
        Conflict: The version is being verified already, or is retired.
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
    """Read a version and record the result.

    Args:
        database: The database of the versions.
        caller: The person who asked for the verification.
        facts: The result of `begin`.
        read: Reads the version.

    Returns:
        The version: verified, unservable or damaged.

    Raises:
        Exception: `read` failed without a result. The verification is given up.
    """
    progress = [0, 0]

    def report(done: int, total: int) -> None:
        progress[:] = done, total

    noting = asyncio.create_task(_note_progress(database, facts, progress))
    try:
        await read(report)
    except UnusableError as error:
        await transactions.mark_unusable(database, caller, facts, error.state, str(error))
    except BaseException:
        noting.cancel()
        await transactions.give_up_check(database, facts)
        raise
    else:
        await transactions.mark_verified(database, caller, facts)
    finally:
        noting.cancel()
    async with database.read() as tx:
        return await transactions.get_version(tx, facts)


async def _note_progress(database: Database, facts: VersionFacts, progress: list[int]) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_SECONDS)
        try:
            await transactions.note_progress(database, facts, *progress)
        except BylineError as error:
            log.warning("verification progress not stored", error=type(error).__name__)
