"""`byline keys`: the API keys of the service."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from byline_service.cli.common import read_settings, with_database

if TYPE_CHECKING:
    from byline.api.accounts import Scope
    from byline_service.accounts.key_queries import StoredKey
    from byline_service.accounts.keys import ApiKey
    from byline_service.database import Database

app = typer.Typer(help="Create, list, rotate and revoke API keys.", no_args_is_help=True)
KeyId = Annotated[str, typer.Argument(metavar="ID", help="Id of the key, as `byline keys list` shows it.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Purpose of the key.")],
    person: Annotated[str, typer.Option(help="Person responsible for the key. Approvals need two persons.")],
    scope: Annotated[
        list[str], typer.Option(help="query, read, compensate, approve or admin. Repeat it for several.")
    ],
    owner: Annotated[
        list[str] | None, typer.Option(help="Show rows of this owner only (with `--scope read`). Repeatable.")
    ] = None,
    days: Annotated[
        int | None,
        typer.Option(min=1, max=36_500, help="Days until the key expires. By default it never does."),
    ] = None,
    per_minute: Annotated[
        tuple[int, int] | None,
        typer.Option(metavar="REQUESTS QUERIES", help="Quotas a minute, in place of the service's."),
    ] = None,
) -> None:
    """Create a key and print it once.

    Example: `byline keys create training-loop --person ada --scope query --scope read`
    """
    from byline_service.accounts import key_management
    from byline_service.accounts.audit import OPERATOR
    from byline_service.accounts.secret import read_secrets
    from byline_service.ledger import party_queries

    settings = read_settings()
    wanted = key_management.NewKey(
        name=name,
        person=person,
        scopes=frozenset(_scopes(scope)),
        owners=frozenset(owner) if owner else None,
        expires_at=None if days is None else datetime.now(UTC) + timedelta(days=days),
        requests_per_minute=None if per_minute is None else per_minute[0],
        queries_per_minute=None if per_minute is None else per_minute[1],
    )

    async def work(database: "Database") -> "ApiKey":
        secret = read_secrets(settings, is_sqlite=database.is_sqlite).current
        async with database.begin() as transaction:
            await party_queries.require_known_owners(transaction, wanted.owners or (), ())
            return await key_management.create(transaction, OPERATOR, wanted, secret)

    _show(with_database(settings, work))


@app.command("list")
def list_keys() -> None:
    """List the keys: id, name, person, scopes, owners, and whether they are valid."""
    from byline_service.accounts import key_queries

    async def work(database: "Database") -> "list[StoredKey]":
        async with database.read() as reading:
            return await key_queries.page(reading, None, 1_000_000)

    now = datetime.now(UTC)
    for key in with_database(read_settings(), work):
        owners = "" if key.owners is None else f" owners={','.join(sorted(key.owners))}"
        used = "never used" if key.last_used_at is None else f"used {key.last_used_at:%Y-%m-%d %H:%M}"
        typer.echo(
            f"{key.id}  {key.name}  {key.person}  {','.join(sorted(key.scopes))}{owners}  {_state(key, now)}  {used}"
        )


@app.command()
def revoke(key_id: KeyId) -> None:
    """Revoke a key at once. Running services notice within seconds."""
    from byline_service.accounts import key_management
    from byline_service.accounts.audit import OPERATOR

    async def work(database: "Database") -> None:
        async with database.begin() as transaction:
            await key_management.revoke(transaction, OPERATOR, key_id)

    with_database(read_settings(), work)
    typer.echo(f"The key {key_id} is revoked.")


@app.command()
def rotate(
    key_id: KeyId,
    overlap_hours: Annotated[
        float, typer.Option(min=0, max=2160, help="Hours for which the old key stays valid.")
    ] = 24.0,
) -> None:
    """Create a key that replaces another one, and print it once."""
    from byline_service.accounts import key_management
    from byline_service.accounts.audit import OPERATOR
    from byline_service.accounts.secret import read_secrets

    settings = read_settings()

    async def work(database: "Database") -> "ApiKey":
        secret = read_secrets(settings, is_sqlite=database.is_sqlite).current
        async with database.begin() as transaction:
            overlap = timedelta(hours=overlap_hours)
            return await key_management.rotate(transaction, OPERATOR, key_id, secret, overlap)

    _show(with_database(settings, work))


def _scopes(names: list[str]) -> "list[Scope]":
    from byline.api.accounts import Scope
    from byline.errors import InvalidInput

    for name in names:
        if name not in set(Scope):
            raise InvalidInput(f"expected scopes among {', '.join(Scope)}, got {name!r}")
    return [Scope(name) for name in names]


def _state(key: "StoredKey", now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is None:
        return "valid"
    return f"{'valid until' if key.active(now) else 'expired'} {key.expires_at:%Y-%m-%d %H:%M}"


def _show(key: "ApiKey") -> None:
    typer.echo(key.text)
    typer.echo(f"Key {key.id} is shown only this once: keep it like a password.", err=True)
