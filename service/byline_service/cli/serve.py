"""`byline serve`: serve indexes over HTTP."""

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from byline_service.cli.common import read_settings, with_database

if TYPE_CHECKING:
    from socket import socket

    from byline_service.accounts.keys import ApiKey
    from byline_service.settings import Settings
    from byline_service.versions.directory import IndexDirectory
    from byline_service.versions.records import AliasRecord
    from byline_service.versions.served_version import ServedVersion
    from byline_service.versions.startup import IndexArgument


def serve(
    indexes: Annotated[
        list[str],
        typer.Argument(metavar="INDEX...", help="Index directories. NAME=DIRECTORY names one."),
    ],
    port: Annotated[int | None, typer.Option(help="Port. 0 takes a free one. [default: 8000]")] = None,
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on. Outside loopback it needs a key and BYLINE_ALLOWED_HOSTS."),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of torch and FAISS.")] = None,
    baselines: Annotated[
        str | None,
        typer.Option(
            help="Offer baselines by similarity, each after a pass over the training set. "
            "Example: `--baselines bm25,representation`"
        ),
    ] = None,
    *,
    without_task: Annotated[
        bool, typer.Option("--without-task", help="Load no models: answer gradients and features only.")
    ] = False,
) -> None:
    """Serve indexes over HTTP: a query page at / and the API reference at /docs.

    The first start on loopback creates a key and prints it once. `byline keys` creates others.
    All other settings are environment variables BYLINE_..., see docs/service.md.

    Example: `byline serve indexes/digits --port 8000`
    """
    settings = read_settings(port=port, host=host, threads=threads, baselines=baselines)
    given = _parse_indexes(indexes, settings, with_task=not without_task)
    _check_listening(settings)
    _run(settings, _open(given, settings), {each.name: each.directory for each in given if each.managed})


def _check_listening(settings: "Settings") -> None:
    """Check names and keys before indexes are opened, which may take minutes."""
    from byline.errors import DatabaseUnavailable
    from byline_service.accounts.bootstrap import require_any_key, require_names

    require_names(settings)
    with suppress(DatabaseUnavailable):  # without a database nobody is admitted
        with_database(settings, lambda database: require_any_key(database, settings))


def _first_key(settings: "Settings") -> "ApiKey | None":
    """Create a key if there is no valid one and only this machine can connect."""
    from byline.errors import DatabaseUnavailable
    from byline_service.accounts.bootstrap import first_key

    if not settings.loopback_only:
        return None
    try:
        return with_database(settings, lambda database: first_key(database, settings))
    except DatabaseUnavailable:
        return None  # `_aliases` has reported it


def _parse_indexes(indexes: list[str], settings: "Settings", *, with_task: bool) -> "list[IndexArgument]":
    from byline.errors import InvalidInput
    from byline_service.versions.startup import IndexArgument

    found: dict[str, IndexArgument] = {}
    for text in indexes:
        given = IndexArgument.parse(text, settings, with_task=with_task)
        if given.name in found:
            raise InvalidInput(
                f"two indexes are named {given.name}: give one of them another name, NAME=DIRECTORY"
            )
        found[given.name] = given
    return list(found.values())


def _open(indexes: "list[IndexArgument]", settings: "Settings") -> "dict[str, ServedVersion]":
    from byline_service.versions.startup import open_first

    aliases = _aliases(indexes, settings)
    opened: dict[str, ServedVersion] = {}
    for index in indexes:
        typer.echo(f"Opening and verifying {index.folder.parent} …", err=True)
        if index.unusable is not None:
            typer.echo(f"{index.unusable}. Serving the versions of the database.", err=True)
        own = [alias for alias in aliases if alias.index == index.name]
        for alias in own:
            points = index.folder.name if index.unusable is None else alias.version
            if alias.alias == index.name and alias.version != points:
                typer.echo(
                    f"{index.name} is version {alias.version}, as the database says; the pointer in the directory "
                    f"names {index.folder.name}, which is not followed: `byline versions switch` changes it.",
                    err=True,
                )
        first = open_first(index, own)
        for facts, reason in first.unusable:
            typer.echo(
                f"{facts.index} {facts.version} cannot be served: {reason}. "
                "`byline versions switch` chooses another version.",
                err=True,
            )
        opened |= first.served
    return opened


def _aliases(indexes: "list[IndexArgument]", settings: "Settings") -> "list[AliasRecord]":
    """Return the aliases of the database. If it does not answer, the service follows it later."""
    from byline.errors import DatabaseUnavailable
    from byline_service.versions.startup import aliases_of

    names = [index.name for index in indexes if index.managed]
    try:
        return with_database(settings, lambda database: aliases_of(database, names))
    except DatabaseUnavailable as error:
        typer.echo(f"Serving the current versions of the directories for now: {error}", err=True)
        return []


def _run(
    settings: "Settings", served: "dict[str, ServedVersion]", directories: "dict[str, IndexDirectory]"
) -> None:
    from byline_service.app import create_app
    from byline_service.observability import logs
    from byline_service.observability.tracing import Tracing
    from byline_service.server import Server

    with _listening(settings) as listening:
        logs.configure(settings.log_level)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        url = f"http://{host}:{listening.getsockname()[1]}"

        def announce() -> None:
            typer.echo(f"Serving {', '.join(served)} at {url}/ (API: {url}/docs)")
            if first is not None:
                typer.echo(f"Key, shown this once: {first.text}")
                typer.echo(f"Sign in: {url}/login#key={first.text}")
            who = "Only this machine can connect. " if settings.loopback_only else ""
            typer.echo(f"{who}Press Ctrl+C to stop the service.")

        app = create_app(settings, served, directories, Tracing.from_settings(settings))
        first = _first_key(settings)
        server = Server(app, settings, announce)
        server.run([listening])


def _listening(settings: "Settings") -> "socket":
    from socket import AF_INET, AF_INET6, IPPROTO_TCP, TCP_NODELAY, create_server

    from byline.errors import InvalidInput

    family = AF_INET6 if ":" in settings.host else AF_INET
    try:
        listening = create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        raise InvalidInput(
            f"cannot listen on {settings.host} port {settings.port} ({error.strerror}): "
            "choose another one with --port, or 0 for a free one"
        ) from None
    # Inherited by every connection. asyncio sets it on its own sockets only; without it the body of an
    # answer waits 40 ms for the client's acknowledgement of its head.
    listening.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    return listening
