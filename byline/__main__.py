"""Compose the command line of the applications' commands.

The one module of `byline` that may import the applications. Heavy libraries are imported inside the
commands, so that `byline --help` answers at once.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from byline.errors import BylineError, InvalidInput, InvalidQuery, NotFound

USAGE, FAILURE = 2, 1
"""Exit codes: what was passed in is wrong; something else is."""
TRACEBACK = "BYLINE_TRACEBACK"
"""Environment variable that adds Python's traceback to an error's line."""


def compose() -> typer.Typer:
    """Make the application with every sub-command."""
    import byline_indexer.cli
    import byline_service.cli

    app = typer.Typer(
        name="byline",
        help="Which training examples made the model predict this, and what is each of their owners due?",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )
    app.callback(invoke_without_command=True)(_version)
    byline_indexer.cli.register(app)
    byline_service.cli.register(app)
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
        from byline.version import __version__

        typer.echo(__version__)
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command. What goes wrong is one line on the standard error stream.

    Args:
        arguments: The command line. That of the process by default.
    """
    try:
        compose()(args=None if arguments is None else list(arguments), prog_name="byline")
    except BylineError as error:
        code = USAGE if isinstance(error, InvalidInput | NotFound) else FAILURE
        _end(f"{' '.join(str(error).split())}{_place(error)}", error, code)
    except Exception as error:
        _end(*_unexpected(error))


def _end(line: str, error: BaseException, code: int) -> NoReturn:
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    typer.secho(f"error: {line}", fg="red", err=True)
    sys.exit(code)


def _unexpected(error: Exception) -> tuple[str, BaseException, int]:
    """Describe an unforeseen error in one line: an error of a Task's own code, a full memory, or a defect of Byline."""
    from byline.loading.failures import OUT_OF_MEMORY, error_place, error_text

    advice = f"{TRACEBACK}=1 shows where"
    if isinstance(error, OUT_OF_MEMORY):
        return (
            f"no memory was left ({error_text(error)}): lower build.memory or build.workers",
            error,
            FAILURE,
        )
    if isinstance(error, OSError) and not error_place(error):
        named = f": {error.filename}" if error.filename else ""
        return f"{error.strerror or error_text(error)}{named} ({advice})", error, FAILURE
    if where := error_place(error):
        return f"the Task's code raised {error_text(error)}{where}: correct it ({advice})", error, USAGE
    return (
        f"unexpected {error_text(error)}: if the Task is right, please report it ({advice})",
        error,
        FAILURE,
    )


def _place(error: BylineError) -> str:
    """Describe the error of a Task's own code on a query, and its place."""
    root: BaseException = error
    while root.__cause__ is not None:
        root = root.__cause__
    if not isinstance(error, InvalidQuery) or isinstance(root, BylineError):
        return ""
    from byline.loading.failures import error_text, is_users

    frames = traceback.extract_tb(root.__traceback__)
    users = [frame for frame in frames if is_users(frame.filename)] or frames
    return f", raised at {users[-1].filename}:{users[-1].lineno}: {error_text(root)}" if users else ""


if __name__ == "__main__":
    main()
