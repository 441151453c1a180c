"""Run `byline` commands and kill them: a service starts again in a fraction of a second.

    python -m tests.system.warm_commands

Each command is a fork of one process that has imported everything. `byline serve` opens its indexes and its socket in a
fork as well, and then each *start* is a fork of that one, with the event loop, the threads and the connections of its own.
SIGKILL ends it like any other process. The journal's clock is that of `quick_days`.

The standard input has one command a line: a JSON list of the file for its output and its arguments. It is answered with the
id of its process, and with its exit status when it has ended. After `serve`, each further line is a start, answered in
the same way.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable
from socket import socket
from typing import NoReturn
from unittest.mock import patch

import byline_service.server
from byline.__main__ import compose, main
from byline_service.server import Server
from tests.system.quick_days import Clock

IMPORTED = (
    "aiosqlite",
    "byline.attribution.attributor",
    "byline_service.app",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "uvicorn.protocols.http.httptools_impl",
)
"""Modules that a command imports late."""


class RestartedServer(Server):
    """A server that is started for each line of the standard input, and may be killed."""

    def run(self, sockets: list[socket] | None = None) -> None:
        for _ in sys.stdin:
            _tell(lambda: Server.run(self, sockets))


def _tell(work: Callable[[], None]) -> None:
    """Work in a fork. Print its id, wait for its end, and print its exit status, negative for a signal."""
    child = os.fork()
    if child == 0:
        _end_after(work)
    os.write(_ANSWERS, f"{child}\n".encode())
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.write(_ANSWERS, f"{status}\n".encode())


def _end_after(work: Callable[[], None]) -> NoReturn:
    status = 1
    try:
        work()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        sys.stdout.flush()
        os._exit(status)


def _command(output: str, arguments: list[str]) -> None:
    written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(written, 1)
    os.dup2(written, 2)
    sys.argv = ["byline", *arguments]
    main()


def _serve_commands() -> None:
    compose()
    for name in IMPORTED:
        importlib.import_module(name)
    byline_service.server.Server = RestartedServer
    with patch("byline_service.ledger.journal_queries.datetime", Clock):
        for line in sys.stdin:
            output, *arguments = json.loads(line)
            if arguments[0] == "serve":
                _command(output, arguments)
            else:
                _tell(lambda output=output, arguments=arguments: _command(output, arguments))


if __name__ == "__main__":
    _ANSWERS = os.dup(1)
    _serve_commands()
