"""The command line: composes the applications' sub-commands.

The one module of `byline` that may import the applications. Heavy libraries are imported inside the
commands, so that `byline --help` answers at once.
"""

import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from byline.errors import BylineError, InvalidInput, InvalidQuery, NotFound

USAGE, FAILURE = 2, 1
"""Exit codes: what was passed in is wrong; something else is."""


def compose() -> typer.Typer:
    """Make the application with every sub-command."""
    import indexer.cli
    import service.cli

    app = typer.Typer(
        name="byline",
        help="Which training examples made the model predict this, and what is each of their owners due?",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )
    app.callback(invoke_without_command=True)(_version)
    indexer.cli.register(app)
    service.cli.register(app)
    return app


def _version(
    context: typer.Context,
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", is_eager=True)
    ] = False,
) -> None:
    """Which training examples made the model predict this, and what is each of their owners due?"""
    del context
    if version:
        import byline

        typer.echo(byline.__version__)
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; what goes wrong is one line on the standard error stream.

    Args:
        arguments: The command line; that of the process by default.
    """
    try:
        compose()(args=None if arguments is None else list(arguments), prog_name="byline")
    except BylineError as error:
        typer.secho(f"error: {' '.join(str(error).split())}{_place(error)}", fg="red", err=True)
        sys.exit(USAGE if isinstance(error, InvalidInput | NotFound) else FAILURE)


def _place(error: BylineError) -> str:
    """Where a Task's own code raised on a query: it may be the one at fault."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if not isinstance(error, InvalidQuery) or isinstance(cause, BylineError):
        return ""
    frames = traceback.extract_tb(cause.__traceback__)
    return f", raised at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""


if __name__ == "__main__":
    main()
