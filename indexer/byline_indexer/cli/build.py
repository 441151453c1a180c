"""Sub-commands that build an index: build, recipes."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from byline_indexer.cli.interruption import stoppable
from byline_indexer.cli.options import Workers

if TYPE_CHECKING:
    from byline_indexer.cli.written_task import HuggingFaceBuild
    from byline_indexer.config import BuildConfig

OptionalBuildFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="[BUILD_FILE]",
        help="The build file, which names the Task, the recipe and the index. Example: `mytask.toml`",
        show_default=False,
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--hf",
        metavar="FOLDER",
        help="Folder of a causal language model as `save_pretrained` or the Trainer leaves it: whole, in shards, an "
        "adapter, or a run's `checkpoint-*` folders. Example: `--hf runs/chat`",
        show_default=False,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Its training data: .jsonl, .json, .parquet, .csv, or .txt with a blank line between texts. Example: "
        "`--data chats.jsonl`",
        show_default=False,
    ),
]
Adapter = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="A LoRA adapter that was trained on top of --hf: it is attributed alone. Example: `--adapter runs/lora`",
        show_default=False,
    ),
]
ColumnNames = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="FIELD=COLUMN,...",
        help="Columns of --data: text, or prompt and completion, or messages; id, owner, license, uri, label; attributes "
        "for further ones. Example: `--columns text=body,owner=author`",
        show_default="the usual names",
    ),
]
Context = Annotated[
    int | None,
    typer.Option(
        min=2,
        help="Most tokens of a row and of a query. Example: `--context 512`",
        show_default="the model's, at most 1024",
    ),
]
RECIPE = "ekfac_pca"
"""The method for --hf where none is named."""
RecipeName = Annotated[
    str | None,
    typer.Option(
        help="The method for --hf: a name that `byline recipes` lists. Example: `--recipe logra`",
        show_default=RECIPE,
    ),
]
IndexFolder = Annotated[
    Path | None,
    typer.Option(
        "--index",
        metavar="INDEX",
        help="The index directory for --hf. Example: `--index indexes/chat`",
        show_default="indexes/ and the folder's name",
    ),
]

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


def build(  # noqa: PLR0913 - a command's options are its arguments
    build_file: OptionalBuildFile = None,
    *,
    hf: Folder = None,
    data: Data = None,
    adapter: Adapter = None,
    columns: ColumnNames = None,
    context: Context = None,
    recipe: RecipeName = None,
    index: IndexFolder = None,
    workers: Workers = None,
    dry_run: DryRun = False,
    force: Force = False,
) -> None:
    """Build an index from a build file, or from a Hugging Face language model and its training data.

    To resume an interrupted build, run the same command again: finished work is kept.

    With --hf no file is needed. The command writes the Task file that says the same in a few lines into the index's folder,
    and `byline query`, `byline serve` and all other commands find it there. A build file sets everything else.

    Example: `byline build mytask.toml --workers 2`

    Example: `byline build --hf runs/chat --data chats.jsonl`

    Example: `byline build --hf models/smollm2 --adapter runs/lora --data rows.parquet --columns text=body,owner=author`
    """
    from byline.errors import InvalidInput
    from byline_indexer.cli.written_task import HuggingFaceBuild
    from byline_indexer.config import load_config, with_workers

    if build_file is not None:
        if any(each is not None for each in (hf, data, adapter, columns, context, recipe, index)):
            raise InvalidInput(
                "expected a build file or --hf with its options, got both: a build file names the Task, the recipe and "
                "the index itself"
            )
        _run(with_workers(load_config(build_file), workers), dry_run=dry_run, force=force)
        return
    if hf is None or data is None:
        raise InvalidInput(
            "expected a build file, or --hf FOLDER with --data FILE, got "
            f"{'neither' if hf is None and data is None else 'one of the two'}: see `byline build --help`"
        )
    given = HuggingFaceBuild(
        folder=hf.expanduser(),  # a shell leaves the ~ of --hf=~/model as it is
        data=data.expanduser(),
        adapter=None if adapter is None else adapter.expanduser(),
        columns=columns,
        context=context,
        index=index,
    )
    _from_folder(given, recipe or RECIPE, workers, dry_run=dry_run, force=force)


def _from_folder(
    given: "HuggingFaceBuild", recipe: str, workers: int | None, *, dry_run: bool, force: bool
) -> None:
    """Write the Task file, into a folder that is deleted after a dry run, and build from it."""
    from byline.recipes import recipe as named_recipe
    from byline_indexer.cli.written_task import write_task
    from byline_indexer.config import BuildConfig, IndexSection, with_workers

    folder = given.index_path.expanduser().resolve()
    with tempfile.TemporaryDirectory(prefix="byline-") as temporary:
        reference = write_task(given, Path(temporary) if dry_run else folder)
        config = BuildConfig(task=reference, recipe=named_recipe(recipe), index=IndexSection(path=folder))
        _run(with_workers(config, workers), dry_run=dry_run, force=force)
    if not dry_run:
        typer.echo(f"The Task is declared in {folder / 'task.py'}", err=True)


def _run(config: "BuildConfig", *, dry_run: bool, force: bool) -> None:
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
