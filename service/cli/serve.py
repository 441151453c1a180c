"""`byline serve`: indexes over HTTP on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.common import read_settings

if TYPE_CHECKING:
    from socket import socket

    from byline.attribution import Attributor
    from service.settings import Settings


def serve(
    indexes: Annotated[
        list[str],
        typer.Argument(metavar="INDEX...", help="Index directories; NAME=DIRECTORY names one."),
    ],
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one. [default: 8000]")] = None,
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on; any but loopback needs a key and BYLINE_ALLOWED_HOSTS."),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of torch and FAISS.")] = None,
    baselines: Annotated[
        str | None,
        typer.Option(
            help="Also rank by similarity, a pass over the training set each. Example: `--baselines bm25,representation`"
        ),
    ] = None,
    *,
    without_task: Annotated[
        bool, typer.Option("--without-task", help="Load no models: answer gradients and finished features.")
    ] = False,
) -> None:
    """Serve indexes over HTTP, with a page to ask them at / and the API's documentation at /docs.

    The first start on loopback makes a key and prints it, once; `byline keys` makes others.
    Every other setting is an environment variable BYLINE_..., see docs/service.md.

    Example: `byline serve indexes/digits --port 8000`
    """
    settings = read_settings(port=port, host=host, threads=threads, baselines=baselines)
    _run(settings, _open(indexes, settings, without_task=without_task))


def _open(indexes: list[str], settings: "Settings", *, without_task: bool) -> "dict[str, Attributor]":
    from byline.attribution import Attributor
    from byline.errors import InvalidInput

    opener = Attributor.open_without_task if without_task else Attributor.open
    opened: dict[str, Attributor] = {}
    for given in indexes:
        name, separator, directory = given.partition("=")
        path = Path(directory if separator else given)
        typer.echo(f"Opening and verifying {path} …", err=True)
        attributor = opener(path, threads=settings.threads, name=name if separator else None)
        if attributor.name in opened:
            raise InvalidInput(f"two indexes are named {attributor.name}: name one, NAME={path}")
        opened[attributor.name] = attributor
    return opened


def _run(settings: "Settings", attributors: "dict[str, Attributor]") -> None:
    import asyncio

    from service import logs
    from service.access.first import first_key
    from service.app import create_app
    from service.server import Server
    from service.tracing import Tracing

    logs.configure(settings.log_level)
    first = first_key(settings)
    with _listening(settings) as listening:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        url = f"http://{host}:{listening.getsockname()[1]}"

        def announce() -> None:
            typer.echo(f"Serving {', '.join(attributors)} at {url}/ (API: {url}/docs)")
            if first is not None:
                typer.echo(f"Key, shown this once: {first.text}")
                typer.echo(f"Sign in: {url}/login#key={first.text}")
            who = "Only this machine can connect. " if settings.loopback_only else ""
            typer.echo(f"{who}Ctrl+C ends the service.")

        server = Server(create_app(settings, attributors, Tracing.configured(settings)), settings, announce)
        asyncio.run(server.serve([listening]))


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
    # Inherited by every connection. asyncio sets it on sockets that it made itself; without it an
    # answer's body waits 40 ms for the client's acknowledgement of its head.
    listening.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    return listening
