"""Notes of the heads, on a schedule, to places that the database's owner cannot change: a file, a webhook."""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import httpx
import structlog

from byline.errors import BylineError
from byline_service.compensation.timestamps import timestamp_text
from byline_service.database import Database
from byline_service.ledger.heads import HeadLine, current_heads
from byline_service.observability.metrics import Metrics

log = structlog.get_logger("service")
WEBHOOK_SECONDS = 10.0


class HeadNotes:
    """Notes the heads of the journal and of the audit log while they change.

    Args:
        database: The database.
        file: File that gets a line for each note. None writes no file.
        url: Address that gets each note as JSON. None sends nothing.
        metrics: Counts notes that failed.
    """

    def __init__(self, database: Database, file: Path | None, url: str | None, metrics: Metrics) -> None:
        self._database = database
        self._file = file
        self._url = url
        self._metrics = metrics
        self._noted: dict[str, tuple[str | None, str | None]] = {}

    @property
    def wanted(self) -> bool:
        """Return whether there is a place to note heads."""
        return self._file is not None or self._url is not None

    async def run(self, seconds: float) -> None:
        """Note the heads until cancelled.

        Args:
            seconds: Seconds between two notes.
        """
        while self.wanted:
            await self.note()
            await asyncio.sleep(seconds)

    async def note(self) -> None:
        """Note the heads in each place that does not have them yet. A failure is logged and tried with the next note."""
        try:
            async with self._database.read() as reading:
                heads = await current_heads(reading)
        except BylineError as error:
            self._failed("database", str(error))
            return
        line = HeadLine(at=timestamp_text(datetime.now(UTC)), journal=heads[0], audit=heads[1])
        if self._file is not None and self._noted.get("file") != heads:
            try:
                await asyncio.to_thread(_append, self._file, line)
                self._noted["file"] = heads
            except OSError as error:
                self._failed("file", str(error.strerror))
        if self._url is not None and self._noted.get("webhook") != heads:
            try:
                await _send(self._url, line)
                self._noted["webhook"] = heads
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                self._failed("webhook", type(error).__name__)

    def _failed(self, place: str, detail: str) -> None:
        self._metrics.count_missed_head(place)
        log.error("heads not noted", place=place, detail=detail)


def _append(path: Path, line: HeadLine) -> None:
    with path.open("a") as file:
        file.write(line.model_dump_json() + "\n")
        file.flush()
        os.fsync(file.fileno())


async def _send(url: str, line: HeadLine) -> None:
    async with httpx.AsyncClient(timeout=WEBHOOK_SECONDS) as client:
        (await client.post(url, json=line.model_dump())).raise_for_status()
