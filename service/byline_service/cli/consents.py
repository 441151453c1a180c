"""`byline consents`: import of consents from a CSV file."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from byline_service.cli.common import read_settings, with_database

if TYPE_CHECKING:
    from byline.api.consents import ConsentRow
    from byline_service.database import Database

app = typer.Typer(help="Record the consent for works.", no_args_is_help=True)
COLUMNS = ("owner", "index", "work", "version", "status", "since", "source")


@app.callback()
def consents() -> None:
    """Record the consent for works."""


@app.command("import")
def import_csv(
    file: Annotated[Path, typer.Argument(help="CSV in UTF-8 with the columns " + ", ".join(COLUMNS) + ".")],
) -> None:
    """Record the consents of a CSV file: all of them, or none.

    An empty `work` means all works of the owner, an empty `version` every version. `status` is `allowed`, `prohibited` or
    `expired`. `since` is a time with its zone, such as 2026-03-01T00:00:00Z.

    Example: `byline consents import opt-outs.csv`
    """
    from byline.paths import local_path
    from byline_service.accounts import audit
    from byline_service.api.consents import consents_fact
    from byline_service.ledger import consent_queries

    local_path(file, "FILE")
    fact = consents_fact(read_rows(file))

    async def work(database: "Database") -> str:
        async with database.begin() as transaction:
            return await consent_queries.record(transaction, audit.OPERATOR, fact)

    at = with_database(read_settings(), work, existing=True)
    typer.echo(f"{len(fact.consents):,} consents are recorded at {at}")


def read_rows(file: Path) -> "list[ConsentRow]":
    """Read the consents of a CSV file.

    Args:
        file: The file.

    Raises:
        InvalidInput: A column is missing, or a line is not valid. The message has its number.
    """
    from pydantic import ValidationError

    from byline.api.consents import ConsentRow
    from byline.errors import InvalidInput

    with file.open(encoding="utf-8-sig", newline="") as opened:
        lines = csv.DictReader(opened)
        if sorted(lines.fieldnames or ()) != sorted(COLUMNS):
            raise InvalidInput(f"expected the columns {', '.join(COLUMNS)}, got other columns")
        rows = []
        for line in lines:
            try:
                rows.append(ConsentRow.model_validate({name: value or None for name, value in line.items()}))
            except ValidationError as error:
                fields = ", ".join(sorted({str(each["loc"][0]) for each in error.errors()}))
                raise InvalidInput(
                    f"expected a consent in line {lines.line_num}, got other values in: {fields}"
                ) from None
    if not rows:
        raise InvalidInput("expected at least one consent, got a file without lines")
    return rows
