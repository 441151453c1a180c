"""`byline rights`: import of rights tables from CSV files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from byline_service.cli.common import read_settings, with_database

if TYPE_CHECKING:
    from byline_service.compensation.rights import RightsTable
    from byline_service.database import Database

app = typer.Typer(help="Record the rights tables of indexes.", no_args_is_help=True)


@app.callback()
def rights() -> None:
    """Record the rights tables of indexes."""


@app.command("import")
def import_csv(
    file: Annotated[Path, typer.Argument(help="CSV in UTF-8: owner,right,party,share,from,to.")],
    index: Annotated[str, typer.Option(help="Own name of the index, not an alias.")],
) -> None:
    """Record a whole table, as another revision. A wrong line refuses all of it.

    Example: `byline rights import rights.csv --index digits`
    """
    from byline.paths import local_path
    from byline_service.accounts import audit
    from byline_service.ledger import rights_queries

    local_path(file, "FILE")
    text = file.read_text(encoding="utf-8")

    async def work(database: "Database") -> "RightsTable":
        async with database.begin() as transaction:
            return await rights_queries.revise_rights(transaction, audit.OPERATOR, index, text)

    table = with_database(read_settings(), work, existing=True)
    typer.echo(f"{table.index}: revision {table.revision} with {len(table.rows):,} rows")
