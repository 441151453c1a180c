"""Arguments and options that several sub-commands share, declared once."""

from pathlib import Path
from typing import Annotated

import typer

from byline.api.terms import MOST_REFINE_STEPS

BuildFile = Annotated[
    Path,
    typer.Argument(
        metavar="BUILD_FILE",
        help="The build file, which names the Task, the recipe and the index. Example: `mytask.toml`",
        show_default=False,
    ),
]
IndexPath = Annotated[
    Path,
    typer.Argument(
        metavar="INDEX",
        help="An index directory (its current version is taken) or one version in it. Example: `indexes/digits`",
        show_default=False,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=1024,
        help="Processes that share the work. The result does not depend on their number. Example: `--workers 8`",
        show_default="build.workers of the build file",
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        "--target",
        help="The quantity that scores attribute: `loss` or one of the Task's targets. Example: `--target margin`",
        show_default="the recipe's",
    ),
]
QueryBatch = Annotated[
    int,
    typer.Option("--batch", min=1, help="Queries that are differentiated together. Example: `--batch 8`"),
]
Refine = Annotated[
    int,
    typer.Option(
        "--refine",
        min=0,
        max=MOST_REFINE_STEPS,
        help="Steps of conjugate gradients that solve each query from the index's own solution, each with a pass over "
        "training points. Example: `--refine 8`",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print JSON instead of a table. Example: `--json | jq .rows`")
]
