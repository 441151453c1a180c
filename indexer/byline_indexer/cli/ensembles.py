"""Sub-commands about ensembles: train-adapters, plan-ensemble."""

from pathlib import Path
from typing import Annotated

import typer

from byline_indexer.cli.options import BuildFile, Json

Folder = Annotated[
    Path,
    typer.Option(
        "--out", help="Folder of the adapters' folders. Example: `--out adapters/c0`", show_default=False
    ),
]
Count = Annotated[int, typer.Option(min=1, max=1024, help="Number of adapters. Example: `--count 5`")]
Position = Annotated[
    int, typer.Option(min=0, help="Position of the weights in Task.checkpoints. Example: `--checkpoint 0`")
]
Rank = Annotated[int, typer.Option(min=1, help="Columns of a layer's two matrices. Example: `--rank 8`")]
Alpha = Annotated[
    float, typer.Option(help="The adapter's output is multiplied by alpha / rank. Example: `--alpha 16`")
]
Dropout = Annotated[
    float,
    typer.Option(min=0, max=0.99, help="Dropout rate of the adapters' inputs. Example: `--dropout 0.1`"),
]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        help="Name of a module that gets an adapter, or the end of its name. Repeatable. Example: `--target c_attn`",
        show_default="every linear layer whose weight is not shared",
    ),
]
Epochs = Annotated[int, typer.Option(min=1, help="Passes over the training set. Example: `--epochs 1`")]
Batch = Annotated[int, typer.Option(min=1, help="Training examples of one step. Example: `--batch 32`")]
Rate = Annotated[
    float,
    typer.Option(min=0, help="Learning rate of AdamW, which falls to zero. Example: `--learning-rate 0.001`"),
]
Seed = Annotated[
    int,
    typer.Option(
        min=0, help="Seed of the first adapter. The next adapter takes the next seed. Example: `--seed 0`"
    ),
]


Budget = Annotated[
    int, typer.Option(min=1, help="Gradient passes that a query may take. Example: `--budget 10`")
]
TrainCost = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="Price of training one more checkpoint, in units of one more gradient pass of every query: then more "
        "checkpoints than the Task has are considered. Example: `--train-cost 20`",
        show_default="only the Task's checkpoints are considered",
    ),
]
SampleRows = Annotated[
    int, typer.Option("--rows", min=20, help="Training points of the pilot. Example: `--rows 1000`")
]
SampleQueries = Annotated[
    int, typer.Option("--queries", min=1, help="Queries of the pilot. Example: `--queries 32`")
]


def train_adapters(  # noqa: PLR0913 - a command's options are its arguments
    build_file: BuildFile,
    *,
    out: Folder,
    count: Count = 5,
    checkpoint: Position = 0,
    rank: Rank = 8,
    alpha: Alpha = 16.0,
    dropout: Dropout = 0.0,
    targets: Targets = None,
    epochs: Epochs = 1,
    batch: Batch = 32,
    learning_rate: Rate = 1e-3,
    seed: Seed = 0,
) -> None:
    """Train LoRA adapters on one checkpoint: ensemble members at a fraction of the cost of a training.

    Each adapter has first weights and an order of the data of its own. To resume an interrupted run, run the same
    command again. Then list the printed folders in `Checkpoint.adapters`, and set `members.adapters` in the recipe.

    Example: `byline train-adapters mytask.toml --count 5 --out adapters`
    """
    from byline.loading.task_file import load_task
    from byline_indexer.adapters import AdapterOptions
    from byline_indexer.adapters import train_adapters as train
    from byline_indexer.cli.progress_bar import bar
    from byline_indexer.config import load_config

    config = load_config(build_file)
    options = AdapterOptions(
        rank=rank,
        alpha=alpha,
        dropout=dropout,
        targets=tuple(targets) if targets else None,
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        seed=seed,
        device=config.build.device,
    )
    with bar() as observer:
        folders = train(load_task(config.task).task, checkpoint, options, out, count=count, observer=observer)
    for folder in folders:
        typer.echo(str(folder))


def plan_ensemble(
    build_file: BuildFile,
    *,
    budget: Budget = 10,
    train_cost: TrainCost = None,
    rows: SampleRows = 1000,
    queries: SampleQueries = 32,
    as_json: Json = False,
) -> None:
    """Recommend numbers of checkpoints and masks, from a pilot of up to 3 checkpoints x 4 masks.

    A sample of the training points is scored. The variance of the scores is divided into a part shared by all checkpoints,
    a part of one checkpoint and a part of one mask. These parts give the expected agreement of an ensemble of any size
    with an infinitely large one.

    Example: `byline plan-ensemble mytask.toml --budget 10`
    """
    import json

    from rich.console import Console

    from byline.loading.task_file import load_task
    from byline.metrics.variance import variance_components
    from byline_indexer.cli.ensemble_table import advice, ensemble_table, facts
    from byline_indexer.cli.progress_bar import bar
    from byline_indexer.config import load_config
    from byline_indexer.pilot import run_pilot

    config = load_config(build_file)
    with bar() as observer:
        pilot = run_pilot(config, rows=rows, queries=queries, observer=observer)
    available = len(load_task(config.task).task.checkpoints)
    found = advice(variance_components(pilot.scores_IDQR), available, budget, train_cost)
    if as_json:
        typer.echo(json.dumps(facts(pilot, found), indent=2))
        return
    console = Console()
    console.print(ensemble_table(found))
    for line in found.lines(pilot):
        console.print(line, highlight=False)
