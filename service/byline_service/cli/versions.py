"""`byline versions`: versions of an index, in the database. Running services follow it."""

from typing import TYPE_CHECKING, Annotated

import typer

from byline_service.cli.common import read_settings, with_database

if TYPE_CHECKING:
    from byline_service.database import Database
    from byline_service.versions.directory import Progress
    from byline_service.versions.records import AliasRecord, VersionRecord
    from byline_service.versions.startup import IndexArgument

app = typer.Typer(
    help="Register, verify, switch and retire versions of an index. Running services follow within about a second.",
    no_args_is_help=True,
)
Index = Annotated[str, typer.Argument(metavar="INDEX", help="Directory of the index, or NAME=DIRECTORY.")]
Version = Annotated[
    str, typer.Argument(metavar="VERSION", help="Name of a version directory inside the index's directory.")
]
Alias = Annotated[
    str | None,
    typer.Option(
        "--alias", help="Alias to switch instead of the index's own name. It is created if it is new."
    ),
]
WithoutTask = Annotated[
    bool, typer.Option("--without-task", help="Load no models, as `byline serve --without-task` does.")
]


@app.command("list")
def list_versions(index: Index) -> None:
    """List the versions of an index with state, recipe, dates and aliases. The aliases follow.

    Example: `byline versions list indexes/digits`
    """
    from byline_service.versions import queries

    given = _parse_index(index)

    async def work(database: "Database") -> "tuple[list[VersionRecord], list[AliasRecord]]":
        async with database.read() as tx:
            known = await queries.list_versions(tx, given.name, "", 1_000_000)
            return known, [each.alias for each in await queries.target_versions(tx, [given.name])]

    known, aliases = with_database(read_settings(), work)
    for version in sorted(known, key=lambda each: each.registered_at):
        names = [each.alias for each in aliases if each.version == version.version]
        served = f"  served as {', '.join(names)}" if names else ""
        reason = f"  ({version.reason})" if version.reason else ""
        at = f"{version.registered_at:%Y-%m-%d %H:%M}"
        typer.echo(
            f"{version.version}  {version.state}{reason}  {version.recipe or '?'}  registered {at}{served}"
        )
    for alias in aliases:
        before = f", before that {alias.previous}" if alias.previous else ""
        typer.echo(
            f"{alias.alias} -> {alias.version} since {alias.changed_at:%Y-%m-%d %H:%M} (revision {alias.revision}{before})"
        )


@app.command()
def register(index: Index, version: Version) -> None:
    """Register a version by the name of its directory.

    Example: `byline versions register indexes/digits 3f2a9c41d07e`
    """
    from byline_service.accounts.audit import OPERATOR
    from byline_service.versions import transactions

    facts = _parse_index(index).directory.facts(version)
    _print_version(
        with_database(read_settings(), lambda database: transactions.register(database, OPERATOR, facts))
    )


@app.command()
def verify(index: Index, version: Version, *, without_task: WithoutTask = False) -> None:
    """Verify a version: every byte, its Task and models, and a first query. It says what is damaged or unservable.

    Example: `byline versions verify indexes/digits 3f2a9c41d07e`
    """
    given = _parse_index(index, with_task=not without_task)
    found = with_database(read_settings(), lambda database: _verified(database, given, version))
    _print_version(found)
    if found.reason:
        raise typer.Exit(1)


@app.command()
def switch(
    index: Index,
    version: Version,
    alias: Alias = None,
    expected: Annotated[str | None, typer.Option(help="Switch only if this version is served now.")] = None,
    *,
    without_task: WithoutTask = False,
) -> None:
    """Serve another version of an index. A version that is not verified is registered and verified first.

    Example: `byline versions switch indexes/digits 3f2a9c41d07e`
    """
    from byline.api.versions import VersionState
    from byline_service.accounts.audit import OPERATOR
    from byline_service.versions import queries, transactions
    from byline_service.versions.records import VersionFacts
    from byline_service.versions.transactions import Expected

    given = _parse_index(index, with_task=not without_task)
    name = alias or given.name
    facts = VersionFacts(index=given.name, version=version)

    async def work(database: "Database") -> "AliasRecord":
        async with database.read() as tx:
            known = await queries.find_version(tx, given.name, version)
        if known is None or known.state in {VersionState.REGISTERED, VersionState.RETIRED}:
            await transactions.register(database, OPERATOR, given.directory.facts(version))
            _print_version(await _verified(database, given, version))
        async with database.read() as tx:
            found = await queries.find_alias(tx, name)
        was = None if found is None else found.version
        revision = None if found is None or expected is not None else found.revision
        pinned = Expected(version=expected or was, revision=revision)
        return await transactions.switch(database, OPERATOR, name, facts, pinned)

    _print_alias(with_database(read_settings(), work))


@app.command()
def rollback(index: Index, alias: Alias = None) -> None:
    """Serve the previous version again. A second rollback undoes the first.

    Example: `byline versions rollback indexes/digits`
    """
    from byline_service.accounts.audit import OPERATOR
    from byline_service.versions import transactions
    from byline_service.versions.transactions import Expected

    name = alias or _parse_index(index).name

    async def work(database: "Database") -> "AliasRecord":
        async with database.read() as tx:
            found = await transactions.get_alias(tx, name)
        return await transactions.roll_back(
            database, OPERATOR, name, Expected(version=found.version, revision=found.revision)
        )

    _print_alias(with_database(read_settings(), work))


@app.command()
def retire(index: Index, version: Version) -> None:
    """Take a version out of service permanently. Its directory may be deleted afterwards.

    Example: `byline versions retire indexes/digits 3f2a9c41d07e`
    """
    from byline_service.accounts.audit import OPERATOR
    from byline_service.versions import transactions
    from byline_service.versions.records import VersionFacts

    facts = VersionFacts(index=_parse_index(index).name, version=version)
    _print_version(
        with_database(read_settings(), lambda database: transactions.retire(database, OPERATOR, facts))
    )


def _parse_index(index: str, *, with_task: bool = True) -> "IndexArgument":
    from byline_service.versions.startup import IndexArgument

    return IndexArgument.parse(index, read_settings(), with_task=with_task)


async def _verified(database: "Database", given: "IndexArgument", version: str) -> "VersionRecord":
    import asyncio

    from byline_service.accounts.audit import OPERATOR
    from byline_service.versions import verification

    facts = await verification.begin(database, given.directory.facts(version))

    async def read(progress: "Progress") -> None:
        await asyncio.to_thread(given.directory.verify, version, facts.manifest_digest, progress)

    return await verification.finish(database, OPERATOR, facts, read)


def _print_version(record: "VersionRecord") -> None:
    reason = f": {record.reason}" if record.reason else ""
    typer.echo(f"{record.index} {record.version} is {record.state}{reason}")


def _print_alias(record: "AliasRecord") -> None:
    before = f", before that {record.previous}" if record.previous else ""
    typer.echo(f"{record.alias} stands for {record.version} (revision {record.revision}{before})")
