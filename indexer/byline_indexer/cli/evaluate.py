"""Sub-commands that measure how good an index is: evaluate, tune."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from byline.api.terms import REFINE_STEPS
from byline_indexer.cli.interruption import stoppable
from byline_indexer.cli.options import BuildFile, QueryBatch, Refine, Target, Workers

if TYPE_CHECKING:
    from pydantic import BaseModel

    from byline_indexer.config import BuildConfig
    from byline_indexer.evaluation.options import EvaluationOptions

Options = TypeVar("Options", bound="BaseModel")


class MetricName(StrEnum):
    """Names of metrics. `byline_indexer.evaluation.metrics.METRICS` has their functions."""

    LDS = "lds"
    LOO = "loo"
    OWNER = "owner"
    MISLABEL = "mislabel"


Metric = Annotated[
    MetricName,
    typer.Option(
        help="`lds`: do summed scores rank models retrained on random subsets? `loo`: do scores rank the effects of "
        "leaving single points out? `owner`: do summed scores rank the effects of leaving single owners out? "
        "`mislabel`: does self-influence find labels that were made wrong? "
        "Example: `--metric lds`"
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        "--out",
        help="Folder of the report and of every retrained model's outputs. A later run with the same folder retrains "
        "only the missing models. Example: `--out evaluation`",
        show_default=False,
    ),
]
SubsetCount = Annotated[
    int, typer.Option("--subsets", min=2, help="Random subsets to retrain on. Example: `--subsets 40`")
]
Alpha = Annotated[
    float,
    typer.Option(
        "--alpha",
        help="Share of the rows that each subset keeps, for `lds`: half as in the literature, or near 1 for the effect "
        "of removing few points. Example: `--alpha 0.95`",
    ),
]
Paired = Annotated[
    bool | None,
    typer.Option(
        "--paired/--no-paired",
        help="Train all subsets with the same seeds, so that noise they share cancels, or each with seeds of its own. "
        "Example: `--paired`",
        show_default="paired, but for `lds` with `--alpha` below 0.9",
    ),
]
Points = Annotated[
    int, typer.Option("--points", min=2, help="Points to leave out, for `loo`. Example: `--points 50`")
]
Owners = Annotated[
    int,
    typer.Option(
        "--owners", min=3, help="Owners to leave out, the largest first, for `owner`. Example: `--owners 30`"
    ),
]
Wrong = Annotated[
    float,
    typer.Option("--wrong", help="Share of wrong labels, for `mislabel`. Example: `--wrong 0.1`"),
]
Seeds = Annotated[
    int,
    typer.Option(
        "--seeds",
        min=1,
        help="Models to train on each subset. Two or more also measure the noise of the truth. Example: `--seeds 2`",
    ),
]
Queries = Annotated[
    int | None,
    typer.Option(
        "--queries",
        min=1,
        help="Items of the evaluation set that are reported. Example: `--queries 200`",
        show_default="100, or as many as there are",
    ),
]
Tuning = Annotated[
    int | None,
    typer.Option(
        "--tuning",
        min=0,
        help="Items that are set apart for `byline tune` and never reported. Example: `--tuning 50`",
        show_default="100, or half of them",
    ),
]
Seed = Annotated[
    int,
    typer.Option("--seed", min=0, help="Seed of the draw of subsets and queries. Example: `--seed 1`"),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        help="Output of the retrained models that is compared with the scores: minus the `loss`, "
        "or one of the Task's targets. "
        "Example: `--output loss`",
        show_default="as --target",
    ),
]
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
TruthFile = Annotated[
    Path | None,
    typer.Option(
        "--truth",
        help="Outputs of models retrained elsewhere, in place of retraining: an .npz file with `subsets`, bool "
        "[subsets, training points], and `outputs`, numbers [seeds, subsets, evaluation set]. "
        "Example: `--truth truth.npz`",
        show_default=False,
    ),
]


def evaluate(  # noqa: PLR0913 - a command's options are its arguments
    build_file: BuildFile,
    out: Out,
    *,
    metric: Metric = MetricName.LDS,
    target: Target = None,
    output: Output = None,
    subsets: SubsetCount = 100,
    alpha: Alpha = 0.5,
    points: Points = 50,
    owners: Owners = 100,
    wrong: Wrong = 0.1,
    seeds: Seeds = 1,
    paired: Paired = None,
    queries: Queries = None,
    tuning: Tuning = None,
    seed: Seed = 0,
    truth: TruthFile = None,
    workers: Workers = None,
    batch: QueryBatch = 32,
    refine: Refine = REFINE_STEPS,
) -> None:
    """Measure how well an index's scores predict the effects of retraining, and write its quality card.

    Retrains models through the Task's `train` on parts of the training set. Compares their outputs on the Task's
    `evaluation_set` with the scores. To resume a stopped run, run the same command again. The card lies beside the
    index. `byline inspect`, the service and its dashboard show it.

    Example: `byline evaluate mytask.toml --metric lds --subsets 40 --workers 4 --out evaluation`
    """
    from rich.console import Console

    from byline_indexer.cli.progress_bar import bar
    from byline_indexer.cli.tables import measurement_table
    from byline_indexer.evaluation.evaluate import evaluate as run

    options = _options(
        out=out,
        metric=metric.value,
        target=target,
        output=output,
        subsets=subsets,
        alpha=alpha,
        points=points,
        owners=owners,
        wrong=wrong,
        seeds=seeds,
        paired=paired,
        queries=queries,
        tuning=tuning,
        seed=seed,
        truth=truth,
        batch=batch,
        refine=refine,
    )
    config = _config(build_file, workers)
    with stoppable("every model that was trained"), bar() as observer:
        done = run(config, options, observer)
    Console().print(measurement_table(done.measured.measurement))
    typer.echo(f"card:   {done.card_file.resolve()}\nreport: {done.report_file}")


Signals = Annotated[
    list[str] | None,
    typer.Option(
        "--signal",
        help="Target to try on both sides: `loss` or one of the Task's. Repeatable. Example: `--signal margin`",
        show_default="loss, and margin where the Task has it",
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
Sizes = Annotated[
    list[int] | None,
    typer.Option(
        "--size",
        help="Projection size to try. Repeatable. Example: `--size 512 --size 2048`",
        show_default="the recipe's, and a quarter of it",
    ),
]


def tune(  # noqa: PLR0913 - a command's options are its arguments
    build_file: BuildFile,
    out: Out,
    *,
    signal: Signals = None,
    damping: Dampings = None,
    size: Sizes = None,
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
    """Choose target, damping and projection size by the LDS on the tuning queries, and print the lines to use.

    Tries every combination, each with an index of its own that is deleted afterwards. The build file's index stays as it
    is. All are compared by the same `--output`, minus the loss unless another is named. Retrained models are those of
    `byline evaluate` with the same folder and options. The queries that it reports take no part.

    Example: `byline tune mytask.toml --subsets 40 --workers 4 --out evaluation`
    """
    from rich.console import Console

    from byline_indexer.cli.progress_bar import bar
    from byline_indexer.cli.tables import tuning_table
    from byline_indexer.evaluation.candidates import Grid
    from byline_indexer.evaluation.tune import tune as run

    options = _options(
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
    grid = _validated(Grid, signals=signal or None, dampings=damping or None, sizes=size or None)
    config = _config(build_file, workers)
    with stoppable("every model that was trained"), bar() as observer:
        tuned = run(config, options, grid, observer)
    Console().print(tuning_table(tuned))
    typer.echo(f"the best of these, in the build file:\n\n{tuned.best.candidate.toml()}\n")
    typer.echo(f"report: {tuned.report_file}")


def _options(**given: Any) -> "EvaluationOptions":
    from byline_indexer.evaluation.options import EvaluationOptions

    return _validated(EvaluationOptions, **given)


def _validated(model: type[Options], **given: Any) -> Options:
    from pydantic import ValidationError

    from byline.api.validation import describe_errors
    from byline.errors import InvalidInput

    try:
        return model(**given)
    except ValidationError as error:
        raise InvalidInput(describe_errors(error, model)) from error


def _config(build_file: Path, workers: int | None) -> "BuildConfig":
    from byline_indexer.config import load_config, with_workers

    return with_workers(load_config(build_file), workers)
