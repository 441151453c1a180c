"""`byline serve`: indexes over HTTP on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from service.settings import Settings


def serve(
    indexes: Annotated[
        list[str],
        typer.Argument(metavar="INDEX...", help="Index directories; NAME=DIRECTORY names one."),
    ],
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one. [default: 8000]")] = None,
    host: Annotated[
        str | None, typer.Option(help="Loopback address; this release serves nobody else.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of torch and FAISS.")] = None,
) -> None:
    """Serve indexes over HTTP, with a page to ask them at / and the API's documentation at /docs.

    Every other setting is an environment variable BYLINE_..., see docs/service.md.
    """
    from byline.errors import BylineError

    try:
        _run(_settings(port=port, host=host, threads=threads), indexes)
    except BylineError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from None


def _settings(**given: str | int | None) -> "Settings":
    from pydantic import ValidationError

    from byline.attribution.payloads import describe_errors
    from byline.errors import InvalidInput
    from service.settings import Settings

    try:
        return Settings.model_validate(
            Settings().model_dump() | {name: value for name, value in given.items() if value is not None}
        )
    except ValidationError as error:
        raise InvalidInput(f"settings: {describe_errors(error, Settings)}") from None


def _run(settings: "Settings", indexes: list[str]) -> None:
    import asyncio
    import socket

    from service import logs
    from service.app import create_app
    from service.server import Server

    logs.configure(settings.log_level)
    attributors = _open(indexes, settings)
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.create_server((settings.host, settings.port), family=family, backlog=2048) as listening:
        port = listening.getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        typer.echo(
            f"Serving {', '.join(attributors)} at http://{host}:{port}/  (API: http://{host}:{port}/docs)"
        )
        typer.echo("Only this machine can connect. Ctrl+C ends the service.")
        asyncio.run(Server(create_app(settings, attributors), settings).serve([listening]))


def _open(indexes: list[str], settings: "Settings"):  # type: ignore[no-untyped-def]
    from byline.attribution import Attributor
    from byline.errors import InvalidInput

    opened: dict[str, Attributor] = {}
    for given in indexes:
        name, separator, directory = given.partition("=")
        path = Path(directory if separator else given)
        typer.echo(f"Opening and verifying {path} …", err=True)
        attributor = Attributor.open(path, threads=settings.threads, name=name if separator else None)
        if attributor.name in opened:
            raise InvalidInput(f"two indexes are named {attributor.name}: name one, as in NAME={path}")
        opened[attributor.name] = attributor
    return opened
