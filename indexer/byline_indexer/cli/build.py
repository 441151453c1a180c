"""Sub-commands that build an index: build, recipes."""

from typing import TYPE_CHECKING, Annotated

import typer

from byline_indexer.cli.interruption import stoppable
from byline_indexer.cli.options import BuildFile, Workers

if TYPE_CHECKING:
    from byline_indexer.config import BuildConfig

DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Run the build on two batches and print an estimate of its time, its memory and its bytes. Leaves nothing "
        "on the disk. Example: `byline build mytask.toml --dry-run`",
    ),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Build a published version again, for example because its files are damaged. "
        "Example: `byline build mytask.toml --force`",
    ),
]


def build(
    build_file: BuildFile, *, workers: Workers = None, dry_run: DryRun = False, force: Force = False
) -> None:
    """Build an index from a build file.

    To resume an interrupted build, run the same command again: finished work is kept.

    Example: `byline build mytask.toml --workers 2`
    """
    from byline_indexer.config import load_config, with_workers

    config = with_workers(load_config(build_file), workers)
    if dry_run:
        _estimate(config)
    else:
        _build(config, force=force)


def _build(config: "BuildConfig", *, force: bool) -> None:
    from byline_indexer.build.build import build as build_index
    from byline_indexer.cli.progress_bar import bar

    with stoppable("what is finished", config.index.path), bar() as observer:
        built = build_index(config, observer, force=force)
    typer.echo(str(built.path))


def _estimate(config: "BuildConfig") -> None:
    from rich.console import Console

    from byline_indexer.build.estimate import estimate
    from byline_indexer.cli.tables import estimate_table

    Console().print(estimate_table(estimate(config)))


def recipes() -> None:
    """List the recipes. Each recipe is one method of attribution.

    Example: `byline recipes`
    """
    from rich.console import Console

    from byline_indexer.cli.tables import recipes_table

    Console().print(recipes_table())
