"""Verification of the audit log, and of the tables whose changes it has: aliases and keys."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import RowMapping, select

from byline_service.accounts import audit
from byline_service.compensation.replay.ledger import Finding
from byline_service.database import Connection
from byline_service.database.audit_hash import GENESIS, audit_hash
from byline_service.database.tables.accounts import keys
from byline_service.database.tables.versions import alias_changes, aliases
from byline_service.ledger.heads import Head, HeadCheck

Change = tuple[Any, ...]


@dataclass
class AuditReplay:
    """What the audit log says, line by line.

    Args:
        heads: Noted heads.
    """

    heads: HeadCheck
    findings: list[Finding] = field(default_factory=list)
    """Errors that were found."""
    last: int = 0
    """Id of the last line."""
    hash: str = GENESIS
    """Hash of the last line."""
    alias_changes: dict[str, list[Change]] = field(default_factory=dict)
    """Action, person and details of changes, by alias."""
    makers: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    """Person and key that made a key, by its id."""

    def read(self, lines: Sequence[RowMapping]) -> None:
        """Take the next lines."""
        for line in lines:
            self.hash = audit_hash(dict(line), self.hash)
            if line["hash"] != self.hash:
                told = "its hash is not that of the line and of the one before"
                self.findings.append(Finding(f"audit {line['id']}", told))
                self.hash = line["hash"]  # one finding for each changed line
            self.last = line["id"]
            self.heads.see(self.last, self.hash)
            self._note(dict(line))

    def _note(self, line: Mapping[str, Any]) -> None:
        kind, _, action = line["action"].partition(".")
        details = line["details"]
        if kind == "aliases":
            to = (details.get("index"), details.get("version"), details.get("previous"))
            change = (action, line["person"], *(to if action != "delete" else to[:1]))
            self.alias_changes.setdefault(line["subject"], []).append(change)
        elif line["action"] in {"keys.create", "keys.rotate"}:
            made = line["subject"] if action == "create" else details.get("new")
            self.makers[str(made)] = line["person"], line["key_id"]


async def replay_audit(reading: Connection, noted: Sequence[Head]) -> AuditReplay:
    """Read the whole audit log, and compare aliases and keys with it.

    Args:
        reading: An open transaction.
        noted: Noted heads of all logs.
    """
    replay = AuditReplay(HeadCheck("audit", noted))
    async for lines in audit.rows(reading):
        await asyncio.to_thread(replay.read, lines)
    replay.findings += replay.heads.findings
    replay.findings += await _alias_findings(reading, replay)
    replay.findings += await _key_findings(reading, replay)
    return replay


async def _alias_findings(reading: Connection, replay: AuditReplay) -> list[Finding]:
    """Compare the history of aliases with the audit log, and the aliases with their history."""
    history: dict[str, list[Change]] = {}
    present: dict[str, Change] = {}
    for row in await reading.execute(select(alias_changes).order_by(alias_changes.c.id)):
        to = (row.index_name, row.version, row.previous)
        change = (row.action, row.person, *(to if row.action != "delete" else to[:1]))
        history.setdefault(row.alias, []).append(change)
        present[row.alias] = (*to, row.revision, row.at)
        if row.action == "delete":
            del present[row.alias]
    stored = {
        row.alias: (row.index_name, row.version, row.previous, row.revision, row.changed_at)
        for row in await reading.execute(select(aliases))
    }
    findings = [
        Finding(f"alias {alias}", "its history is not the one in the audit log")
        for alias in sorted(history.keys() | replay.alias_changes.keys())
        if history.get(alias) != replay.alias_changes.get(alias)
    ]
    return findings + [
        Finding(f"alias {alias}", "it is not what its history says")
        for alias in sorted(stored.keys() | present.keys())
        if stored.get(alias) != present.get(alias)
    ]


async def _key_findings(reading: Connection, replay: AuditReplay) -> list[Finding]:
    """Find keys that nobody made, or that another one made than the key says."""
    findings = []
    for row in await reading.execute(select(keys.c.id, keys.c.made_by, keys.c.made_by_key)):
        maker = replay.makers.get(row.id)
        if maker is None:
            findings.append(Finding(f"key {row.id}", "the audit log does not have its making"))
        elif row.made_by is not None and (row.made_by, row.made_by_key) != maker:
            findings.append(Finding(f"key {row.id}", "its maker is not the one in the audit log"))
    return findings
