"""Sub-command that measures how good an index is."""

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

    options = evaluation_options(
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
    config = build_config(build_file, workers)
    with stoppable("every model that was trained"), bar() as observer:
        done = run(config, options, observer)
    Console().print(measurement_table(done.measured.measurement))
    typer.echo(f"card:   {done.card_file.resolve()}\nreport: {done.report_file}")


def evaluation_options(**given: Any) -> "EvaluationOptions":
    """Make the options of a measurement of a command's arguments."""
    from byline_indexer.evaluation.options import EvaluationOptions

    return validated(EvaluationOptions, **given)


def validated(model: type[Options], **given: Any) -> Options:
    """Make a model of a command's arguments.

    Raises:
        InvalidInput: They do not fit. The message names the field.
    """
    from pydantic import ValidationError

    from byline.api.validation import describe_errors
    from byline.errors import InvalidInput

    try:
        return model(**given)
    except ValidationError as error:
        raise InvalidInput(describe_errors(error, model)) from error


def build_config(build_file: Path, workers: int | None) -> "BuildConfig":
    """Read a build file, with another number of workers if one is given."""
    from byline_indexer.config import load_config, with_workers

    return with_workers(load_config(build_file), workers)
