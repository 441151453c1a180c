"""Heads of the journal and of the audit log: a copy elsewhere reveals a log that was replaced or cut."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import select

from byline.errors import InvalidInput
from byline_service.compensation.replay.ledger import Finding
from byline_service.database import Connection
from byline_service.database.tables.accounts import audit
from byline_service.database.tables.compensation import journal

Log = Literal["journal", "audit"]


class HeadLine(BaseModel):
    """One line of a file of heads."""

    model_config = ConfigDict(extra="forbid")

    at: str
    """Time in UTC."""
    journal: str | None = Field(default=None, pattern=r"^[0-9]{1,18}:[0-9a-f]{64}$")
    """Sequence and hash of the last journal record. Null for an empty journal."""
    audit: str | None = Field(default=None, pattern=r"^[0-9]{1,18}:[0-9a-f]{64}$")
    """Id and hash of the last line of the audit log. Null for an empty log."""


@dataclass(frozen=True)
class Head:
    """A noted head of one log."""

    log: Log
    """The log."""
    sequence: int
    """Sequence of its last record then."""
    hash: str
    """Hash of that record."""

    @classmethod
    def parse(cls, log: Log, text: str) -> Self:
        """Parse `SEQUENCE:HASH`.

        Raises:
            InvalidInput: The text has another form.
        """
        sequence, _, noted = text.partition(":")
        if not (sequence.isascii() and sequence.isdigit() and len(sequence) < 19 and len(noted) == 64):
            raise InvalidInput(
                "expected head as `byline ledger verify` prints it: SEQUENCE:HASH, or a file of heads"
            )
        return cls(log, int(sequence), noted)


def read_heads(path: Path) -> list[Head]:
    """Read a file of heads, one JSON object a line.

    Raises:
        InvalidInput: The file cannot be read, or a line is no head.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        raise InvalidInput("expected head as a file that can be read, got one that cannot") from None
    found: list[Head] = []
    for number, line in enumerate(lines, 1):
        try:
            noted = HeadLine.model_validate_json(line)
        except ValidationError:
            raise InvalidInput(f"expected a head in every line, got another text in line {number}") from None
        found += [] if noted.journal is None else [Head.parse("journal", noted.journal)]
        found += [] if noted.audit is None else [Head.parse("audit", noted.audit)]
    return found


async def current_heads(reading: Connection) -> tuple[str | None, str | None]:
    """Return the heads of the journal and of the audit log, as `SEQUENCE:HASH`. None for an empty log."""
    last = select(journal.c.sequence, journal.c.hash).order_by(journal.c.sequence.desc()).limit(1)
    line = select(audit.c.id, audit.c.hash).order_by(audit.c.id.desc()).limit(1)
    found = [(await reading.execute(chosen)).first() for chosen in (last, line)]
    journal_head, audit_head = (None if row is None else f"{row[0]}:{row[1]}" for row in found)
    return journal_head, audit_head


@dataclass
class HeadCheck:
    """Compares noted heads with a log while it is read.

    Args:
        log: The log.
        noted: Noted heads of all logs.
    """

    log: Log
    noted: Sequence[Head] = ()
    _left: dict[int, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for each in self.noted:
            if each.log == self.log:
                self._left.setdefault(each.sequence, set()).add(each.hash)

    def see(self, sequence: int, found: str) -> None:
        """Take the hash of a record."""
        if self._left.get(sequence) == {found}:
            del self._left[sequence]

    @property
    def findings(self) -> list[Finding]:
        """Return the heads that the log does not have."""
        told = "its hash is not the one that was noted"
        return [Finding(f"{self.log} {sequence}", told) for sequence in sorted(self._left)]
