"""`byline ledger`: verification and export of the ledger."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from byline_service.cli.common import read_settings, with_database

if TYPE_CHECKING:
    from byline_service.database import Database
    from byline_service.ledger.heads import Head
    from byline_service.ledger.verify import Verification

app = typer.Typer(help="Verify and export the ledger.", no_args_is_help=True)
SHOWN = 50
"""Number of findings that are printed."""


@app.command()
def verify(
    head: Annotated[
        str | None,
        typer.Option(
            metavar="SEQUENCE:HASH|FILE",
            help="An earlier head, which the journal must still have, or a file of heads that the service noted. "
            "It reveals a journal that was replaced.",
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="A bundle of one run, which is verified without a database."),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            help="Public keys as PEM, from another source than the bundle. They alone may have signed its events."
        ),
    ] = None,
) -> None:
    """Verify the journal from its first record: every rule, every statement recomputed, every table compared.

    The audit log is verified too, with the aliases and keys that it has, and the triggers that keep rows as they are.
    The exit status is 1 if anything is wrong. Each finding is printed with its place.

    Example: `byline ledger verify --head 1234:9f2c…`
    """
    from byline_service.ledger.verify import verify as verified

    if bundle is not None:
        _verify_bundle(bundle, keys)
        return
    noted = [] if head is None else _noted_heads(head)

    async def work(database: "Database") -> "Verification":
        return await verified(database, noted)

    found = with_database(read_settings(), work, existing=True)
    _tell([f"{finding.where}: {finding.what}" for finding in found.findings], "the ledger")
    typer.echo(
        f"{found.records:,} records, {found.events:,} events, {found.runs:,} runs ({found.posted:,} posted): "
        "chain, rules, balances and tables are right; every recomputed statement is the same."
    )
    typer.echo(f"head {found.records}:{found.head}")
    typer.echo(f"audit log {found.audit}:{found.audit_head}")


@app.command()
def bundle(
    run: Annotated[str, typer.Argument(help="Id of a statement run that divides a pool.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
) -> None:
    """Write a run's statement with its signed events, for a verification without the database.

    Example: `byline ledger bundle 5202a429 --out run.json`
    """
    from byline.errors import InvalidInput
    from byline.paths import local_path
    from byline_service.accounts import audit
    from byline_service.ledger.bundles import read_bundle

    local_path(out, "OUT")
    if not out.parent.is_dir():
        raise InvalidInput(f"expected a file in an existing folder, got {out.parent}, which is not a folder")

    async def work(database: "Database") -> int:
        async with database.begin() as transaction:
            found = await read_bundle(transaction, run)
            await audit.record(transaction, audit.OPERATOR, "exports.bundle", found.run)
        out.write_bytes(found.canonical())
        return len(found.events)

    typer.echo(f"{with_database(read_settings(), work, existing=True):,} events in {out}")


def _verify_bundle(path: Path, trusted: Path | None) -> None:
    from pydantic import ValidationError

    from byline.errors import InvalidInput
    from byline_service.compensation.bundle import Bundle, bundle_findings
    from byline_service.signing.keys import read_public_keys

    try:
        known = None if trusted is None else read_public_keys(trusted.read_text())
    except OSError:
        raise InvalidInput("expected keys as a file of public keys, got one that cannot be read") from None
    try:
        read = Bundle.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        raise InvalidInput(
            f"expected a bundle that `byline ledger bundle` wrote, got another file: {path.name}"
        ) from None
    _tell(
        bundle_findings(read, known),
        "the bundle",
    )
    typer.echo(
        f"run {read.run}: {len(read.events):,} signed events, and the recomputed division is the same to the byte.\n"
        f"statement {read.statement.sha256}"
    )


def _tell(findings: list[str], subject: str) -> None:
    for finding in findings[:SHOWN]:
        typer.echo(finding, err=True)
    if findings:
        typer.echo(f"{len(findings)} findings: {subject} is NOT as it was written.", err=True)
        raise typer.Exit(1)


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
    from byline_service.accounts import audit
    from byline_service.ledger import journal_queries

    local_path(path, "PATH")
    if not path.parent.is_dir():
        raise InvalidInput(f"expected a file in an existing folder, got {path.parent}, which is not a folder")

    async def work(database: "Database") -> int:
        written = 0
        async with database.begin() as transaction:
            await audit.record(transaction, audit.OPERATOR, "exports.journal", "journal")
        with path.open("w") as file:
            async with database.read() as reading:
                async for row in journal_queries.rows(reading):
                    file.write(json.dumps({"hash": row.hash, "document": row.document}) + "\n")
                    written += 1
        return written

    typer.echo(f"{with_database(read_settings(), work, existing=True):,} records in {path}")


def _noted_heads(text: str) -> "list[Head]":
    from byline_service.ledger.heads import Head, read_heads

    return read_heads(Path(text)) if Path(text).is_file() else [Head.parse("journal", text)]
