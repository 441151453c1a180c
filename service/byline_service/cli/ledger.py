"""`byline ledger`: is the ledger right, and everything that it rests on?"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from byline_service.cli.common import read_settings, with_database

if TYPE_CHECKING:
    from byline_service.database import Database
    from byline_service.ledger.verify import Verification

app = typer.Typer(help="The ledger: verify it, export it.", no_args_is_help=True)
SHOWN = 50
"""Findings that are written out."""


@app.command()
def verify(
    head: Annotated[
        str | None,
        typer.Option(
            metavar="SEQUENCE:HASH",
            help="A head that was noted before: the journal must still have it. Finds a chain that was written anew.",
        ),
    ] = None,
) -> None:
    """Read the journal from its first record, hold every rule, compute every statement again, and compare all tables.

    Ends with 1, and says what is wrong and where, unless everything is right.

    Example: `byline ledger verify --head 1234:9f2c…`
    """
    from byline_service.ledger.verify import verify as verified

    noted = None if head is None else _noted(head)

    async def work(database: "Database") -> "Verification":
        return await verified(database, noted)

    found = with_database(read_settings(), work)
    for finding in found.findings[:SHOWN]:
        typer.echo(f"{finding.where}: {finding.what}", err=True)
    if found.findings:
        typer.echo(f"{len(found.findings)} findings: the ledger is NOT as it was written.", err=True)
        raise typer.Exit(1)
    typer.echo(
        f"{found.records:,} records, {found.events:,} events, {found.runs:,} runs ({found.posted:,} posted): "
        "chain, rules, balances and tables are right; every statement is the same, computed again."
    )
    typer.echo(f"head {found.records}:{found.head}")


@app.command()
def export(
    path: Annotated[Path, typer.Argument(help="File to write: the journal, one record a line.")],
) -> None:
    """Write the whole journal to a file, in the bytes that its hashes are of, for an auditor or a safe place.

    Each line is a JSON object: `hash`, and `document` with the record's canonical JSON as text.

    Example: `byline ledger export journal.jsonl`
    """
    from byline.errors import InvalidInput
    from byline.paths import local_path
    from byline_service.ledger import journal_queries

    local_path(path, "PATH")
    if not path.parent.is_dir():
        raise InvalidInput(f"expected a file to write in a folder that exists, {path.parent} is none")

    async def work(database: "Database") -> int:
        written = 0
        with path.open("w") as file:
            async with database.read() as reading:
                async for row in journal_queries.rows(reading):
                    file.write(json.dumps({"hash": row.hash, "document": row.document}) + "\n")
                    written += 1
        return written

    typer.echo(f"{with_database(read_settings(), work):,} records in {path}")


def _noted(text: str) -> tuple[int, str]:
    from byline.errors import InvalidInput

    sequence, _, noted = text.partition(":")
    if not (sequence.isascii() and sequence.isdigit() and len(sequence) < 19 and len(noted) == 64):
        raise InvalidInput("expected head as `byline ledger verify` prints it: SEQUENCE:HASH")
    return int(sequence), noted
