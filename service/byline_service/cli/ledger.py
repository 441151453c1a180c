"""`byline ledger`: verification and export of the ledger."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from byline_service.cli.common import read_settings, with_database

if TYPE_CHECKING:
    from byline_service.database import Database
    from byline_service.ledger.verify import Verification

app = typer.Typer(help="Verify and export the ledger.", no_args_is_help=True)
SHOWN = 50
"""Number of findings that are printed."""


@app.command()
def verify(
    head: Annotated[
        str | None,
        typer.Option(
            metavar="SEQUENCE:HASH",
            help="An earlier head, which the journal must still have. It reveals a journal that was replaced.",
        ),
    ] = None,
) -> None:
    """Verify the journal from its first record: every rule, every statement recomputed, every table compared.

    The exit status is 1 if anything is wrong. Each finding is printed with its place.

    Example: `byline ledger verify --head 1234:9f2c…`
    """
    from byline_service.ledger.verify import verify as verified

    noted = None if head is None else _parse_head(head)

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
        "chain, rules, balances and tables are right; every recomputed statement is the same."
    )
    typer.echo(f"head {found.records}:{found.head}")


@app.command()
def export(
    path: Annotated[Path, typer.Argument(help="File to write, one journal record per line.")],
) -> None:
    """Write the whole journal to a file, in the exact bytes that were hashed.

    Each line is a JSON object with `hash`, and with the record's canonical JSON as text in `document`.

    Example: `byline ledger export journal.jsonl`
    """
    from byline.errors import InvalidInput
    from byline.paths import local_path
    from byline_service.ledger import journal_queries

    local_path(path, "PATH")
    if not path.parent.is_dir():
        raise InvalidInput(f"expected a file in an existing folder, got {path.parent}, which is not a folder")

    async def work(database: "Database") -> int:
        written = 0
        with path.open("w") as file:
            async with database.read() as reading:
                async for row in journal_queries.rows(reading):
                    file.write(json.dumps({"hash": row.hash, "document": row.document}) + "\n")
                    written += 1
        return written

    typer.echo(f"{with_database(read_settings(), work):,} records in {path}")


def _parse_head(text: str) -> tuple[int, str]:
    from byline.errors import InvalidInput

    sequence, _, noted = text.partition(":")
    if not (sequence.isascii() and sequence.isdigit() and len(sequence) < 19 and len(noted) == 64):
        raise InvalidInput("expected head as `byline ledger verify` prints it: SEQUENCE:HASH")
    return int(sequence), noted
