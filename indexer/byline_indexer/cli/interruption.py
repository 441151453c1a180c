"""End a long command that Ctrl-C or an error of the disk stops, with a line that says what to do next."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer


@contextmanager
def stoppable(kept: str, place: Path | None = None) -> Iterator[None]:
    """End with one line that says what to do next.

    Args:
        kept: What an interrupted run leaves behind: `what is finished`.
        place: Named where the operating system's error names no file.

    Yields:
        Nothing.

    Raises:
        Exit: Code 130, after Ctrl-C.
        BuildFailed: A file could not be read or written.
    """
    try:
        yield
    except KeyboardInterrupt:
        typer.secho(
            f"stopped: {kept} is kept, and the same command goes on from there", fg="yellow", err=True
        )
        raise typer.Exit(130) from None
    except OSError as error:
        from byline.errors import BuildFailed
        from byline.loading.failures import error_place as raised_at

        if raised_at(error):
            raise  # the Task's own file, none of the build's
        raise BuildFailed(
            f"{error.strerror or error} ({error.filename or place}): {kept} is kept; correct the cause and run the "
            f"same command again"
        ) from error
