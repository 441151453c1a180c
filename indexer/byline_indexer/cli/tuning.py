"""Sub-command that chooses a setting by the agreement with retrained models, within a budget."""

from typing import Annotated

import typer

from byline_indexer.cli.evaluate import (
    Alpha,
    Out,
    Paired,
    Queries,
    Seed,
    Seeds,
    SubsetCount,
    TruthFile,
    Tuning,
    build_config,
    evaluation_options,
    validated,
)
from byline_indexer.cli.interruption import stoppable
from byline_indexer.cli.options import BuildFile, QueryBatch, Workers

ComparedBy = Annotated[
    str | None,
    typer.Option(
        "--output",
        help="Output of the retrained models that every candidate is compared with: minus the `loss`, "
        "or one of the Task's targets. "
        "Example: `--output margin`",
        show_default="loss",
    ),
]
Rows = Annotated[
    list[str] | None,
    typer.Option(
        "--row",
        help="Recipe to try, a name of `byline recipes`. Repeatable. Example: `--row ekfac --row trackstar`",
        show_default="the build file's, ekfac_pca, ekfac_margin and logra",
    ),
]
Signals = Annotated[
    list[str] | None,
    typer.Option(
        "--signal",
        help="Target to try on both sides: `loss` or one of the Task's. Repeatable. Example: `--signal margin`",
        show_default="each row's own, and with masks loss and margin",
    ),
]
Sizes = Annotated[
    list[str] | None,
    typer.Option(
        "--size",
        help="Numbers to try: of the projection, of projection and PCA, or of a PCA alone. Repeatable. "
        "Example: `--size 2048 --size 65536:512 --size :512`",
        show_default="the recipe's, top coordinates, and wide ones with a PCA",
    ),
]
Dampings = Annotated[
    list[float] | None,
    typer.Option(
        "--damping",
        help="Damping to try. Repeatable. Example: `--damping 0.1 --damping 1`",
        show_default="0.01, 0.1, 1, 10 and the recipe's",
    ),
]
Powers = Annotated[
    list[float] | None,
    typer.Option(
        "--power",
        help="Power of the optimizer's second moment that gradients are divided by. 0 divides by none. Repeatable. "
        "Example: `--power 0 --power 0.25`",
        show_default="0, 0.25 and 0.5 where every checkpoint has moments",
    ),
]
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        help="Filter of the spectrum to try: `damped` or `finite_run`. Repeatable. Example: `--filter damped`",
        show_default="both where every checkpoint has a learning rate and steps",
    ),
]
CheckpointSets = Annotated[
    list[str] | None,
    typer.Option(
        "--checkpoints",
        help="Checkpoints to try as members: positions, or all. Repeatable. Example: `--checkpoints 0 --checkpoints all`",
        show_default="each alone, the first half, and all",
    ),
]
MaskSets = Annotated[
    list[str] | None,
    typer.Option(
        "--masks",
        help="Dropout masks to try: none, or their number, rate, and `masked` or `whole` queries. Repeatable. "
        "Example: `--masks none --masks 10:0.3:whole`",
        show_default="none, and some at .3 and .5 with both kinds of queries where the model has dropout",
    ),
]
Refinements = Annotated[
    list[int] | None,
    typer.Option(
        "--refine",
        help="Steps that solve each query. Repeatable. Example: `--refine 0 --refine 8`",
        show_default="0 and 8",
    ),
]
Weights = Annotated[
    list[float] | None,
    typer.Option(
        "--weight",
        help="Weight of a baseline beside influence. 0 tries none. Repeatable. Example: `--weight 0.25 --weight 1`",
        show_default="0.1, 0.25, 0.5, 1 and 2",
    ),
]
RowBytes = Annotated[
    int | None,
    typer.Option(
        "--bytes-per-row",
        min=1,
        help="The most bytes of vectors and search file for each row. Example: `--bytes-per-row 2048`",
        show_default="no limit",
    ),
]
TotalBytes = Annotated[
    int | None,
    typer.Option(
        "--bytes",
        min=1,
        help="The most bytes of the whole index, fitted state included. Example: `--bytes 100000000`",
        show_default="no limit",
    ),
]
Milliseconds = Annotated[
    float | None,
    typer.Option(
        "--milliseconds",
        help="The most time of a query on this machine, as the median of tuning queries. Example: `--milliseconds 50`",
        show_default="no limit",
    ),
]


def tune(  # noqa: PLR0913 - a command's options are its arguments
    build_file: BuildFile,
    out: Out,
    *,
    bytes_per_row: RowBytes = None,
    total_bytes: TotalBytes = None,
    milliseconds: Milliseconds = None,
    row: Rows = None,
    signal: Signals = None,
    size: Sizes = None,
    power: Powers = None,
    spectral_filter: Filters = None,
    damping: Dampings = None,
    checkpoints: CheckpointSets = None,
    masks: MaskSets = None,
    refine: Refinements = None,
    weight: Weights = None,
    output: ComparedBy = None,
    subsets: SubsetCount = 100,
    alpha: Alpha = 0.5,
    seeds: Seeds = 1,
    paired: Paired = None,
    queries: Queries = None,
    tuning: Tuning = None,
    seed: Seed = 0,
    truth: TruthFile = None,
    workers: Workers = None,
    batch: QueryBatch = 32,
) -> None:
    """Choose a recipe and its settings by the LDS on the tuning queries within a budget, and print the lines to use.

    Varies one axis after another: recipe and target, size, the optimizer's scale, damping, checkpoints, masks, refinement,
    and a blend with a baseline. Each setting has an index of its own that is deleted afterwards. The build file's index
    stays as it is. All are compared by the same `--output`, minus the loss unless another is named. Retrained models are
    those of `byline evaluate` with the same folder and options. The queries that it reports take no part.

    Example: `byline tune mytask.toml --subsets 40 --bytes-per-row 4096 --milliseconds 50 --workers 4 --out evaluation`
    """
    from rich.console import Console

    from byline_indexer.cli.progress_bar import bar
    from byline_indexer.cli.tuning_table import chosen_lines, rival_lines, tuning_table
    from byline_indexer.evaluation.costs import Budget
    from byline_indexer.evaluation.grid import Grid
    from byline_indexer.evaluation.queries import REPORT
    from byline_indexer.evaluation.tune import tune as run

    options = evaluation_options(
        out=out,
        output=output,
        subsets=subsets,
        alpha=alpha,
        seeds=seeds,
        paired=paired,
        queries=queries,
        tuning=tuning,
        seed=seed,
        truth=truth,
        batch=batch,
    )
    grid = validated(
        Grid,
        rows=row or None,
        signals=signal or None,
        sizes=size or None,
        powers=power or None,
        filters=spectral_filter or None,
        dampings=damping or None,
        checkpoints=checkpoints or None,
        masks=masks or None,
        refine=refine or None,
        weights=weight or None,
    )
    budget = validated(Budget, row_bytes=bytes_per_row, total_bytes=total_bytes, milliseconds=milliseconds)
    config = build_config(build_file, workers)
    with stoppable("every model that was trained"), bar() as observer:
        tuned = run(config, options, grid, budget, observer)
    Console().print(tuning_table(tuned))
    for line in [*rival_lines(tuned), "", *chosen_lines(tuned), "", f"report: {options.out / REPORT}"]:
        typer.echo(line)
