"""`byline parties`: the parties behind owners' labels."""

from typing import TYPE_CHECKING, Annotated

import typer

from byline_service.cli.common import read_settings, with_database

if TYPE_CHECKING:
    from byline_service.database import Database
    from byline_service.ledger.party_queries import PartyRow

app = typer.Typer(help="Record and list the parties behind owners' labels.", no_args_is_help=True)


@app.command()
def record(
    name: Annotated[str, typer.Argument(help="Name of the party: the label of an owner.")],
    alias: Annotated[list[str] | None, typer.Option(help="Another label of the owner. Repeatable.")] = None,
) -> None:
    """Record a party, or a revision of it with other aliases. Identifiers and details are recorded over HTTP.

    Example: `byline parties record "Museum of Maps" --alias "Maps Museum"`
    """
    from byline_service.accounts.audit import OPERATOR
    from byline_service.ledger import party_records

    async def work(database: "Database") -> "PartyRow":
        async with database.begin() as transaction:
            return await party_records.record_labels(transaction, OPERATOR, name, alias or [])

    _show(with_database(read_settings(), work))


@app.command("list")
def list_parties() -> None:
    """List the parties: id, name and aliases."""
    from byline_service.ledger import party_queries

    async def work(database: "Database") -> "list[PartyRow]":
        async with database.read() as reading:
            return await party_queries.page(reading, None, None, 1_000_000)

    for row in with_database(read_settings(), work):
        _show(row)


def _show(row: "PartyRow") -> None:
    aliases = f"  also {', '.join(row.party.aliases)}" if row.party.aliases else ""
    typer.echo(f"{row.party.id}  {row.party.name}{aliases}")
