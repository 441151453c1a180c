"""The sub-command that ranks points outside the training set: score-candidates."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from byline.api.terms import REFINE_STEPS
from byline_indexer.cli.options import IndexPath, Json, Refine, Target

Data = Annotated[
    Path,
    typer.Option(
        "--data",
        help="One candidate a row of a JSONL, JSON, Parquet or CSV file. For a language model, as `byline build --data` "
        "takes it. For others, as for `byline query` but complete, with its label. A training point's metadata (`id`, "
        "`owner`, ...) may stand beside it. Example: `--data new.jsonl`",
        show_default=False,
    ),
]
CandidateColumns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="FIELD=COLUMN,...",
        help="Columns of a language model's --data, as for `byline build`. Example: `--columns text=body`",
        show_default="the usual names",
    ),
]
TargetFile = Annotated[
    Path | None,
    typer.Option(
        "--target-file",
        help="The target set: one query a line, as for `byline query`. Example: `--target-file wanted.jsonl`",
        show_default="the Task's evaluation set",
    ),
]
TargetOwner = Annotated[
    str | None,
    typer.Option(
        "--target-owner",
        help="The training points of this owner are the target set. Example: `--target-owner ada`",
        show_default=False,
    ),
]
TargetLabel = Annotated[
    str | None,
    typer.Option(
        "--target-label",
        help="The training points with this label are the target set. Example: `--target-label 7`",
        show_default=False,
    ),
]
Reduce = Annotated[
    Literal["mean", "max"],
    typer.Option(
        "--reduce",
        help="A candidate's score: the `mean` over the target points, or the `max`, for target points of several kinds. "
        "Example: `--reduce max`",
    ),
]
Best = Annotated[int, typer.Option("--limit", "-n", min=1, help="Candidates to print. Example: `--limit 50`")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Also write all candidates, best first, to this `.csv` or `.json` file. Example: `--out ranking.csv`",
        show_default=False,
    ),
]
CandidateBatch = Annotated[
    int, typer.Option("--batch", min=1, help="Items that are differentiated together. Example: `--batch 8`")
]


def score_candidates(  # noqa: PLR0913 - a command's options are its arguments
    index: IndexPath,
    data: Data,
    *,
    columns: CandidateColumns = None,
    target_file: TargetFile = None,
    target_owner: TargetOwner = None,
    target_label: TargetLabel = None,
    target: Target = None,
    reduce: Reduce = "mean",
    limit: Best = 20,
    out: Out = None,
    batch: CandidateBatch = 32,
    refine: Refine = REFINE_STEPS,
    as_json: Json = False,
) -> None:
    """Rank points that the model was not trained on: which of them would improve it on a target set?

    A positive score means that training on the candidate would raise the target (lower its loss). Recipes with an inverse
    curvature, such as `ekfac`, also predict the target's change in its own unit. The change is predicted to first order,
    for one more point with the weight of one training point. It is not measured.

    Example: `byline score-candidates .demo/digits/index --data new.jsonl --target-file wanted.jsonl --out ranking.csv`
    """
    from rich.console import Console

    from byline.attribution.selection import SelectionOptions
    from byline_indexer.candidates import (
        TargetChoice,
        rank_candidates,
        ranking_json,
        require_out,
        write_ranking,
    )
    from byline_indexer.cli.progress_bar import bar
    from byline_indexer.cli.ranking_table import ranking_table
    from byline_indexer.cli.written_task import named_columns

    options = SelectionOptions(target=target, reduction=reduce, refine=refine, batch=batch)
    choice = TargetChoice(file=target_file, owner=target_owner, label=target_label)
    if out is not None:
        require_out(out)
    named = None if columns is None else named_columns(columns)
    with bar() as observer:
        ranking = rank_candidates(index, data.expanduser(), choice, options, observer, named)
    if out is not None:
        write_ranking(ranking, out)
    if as_json:
        typer.echo(json.dumps(ranking_json(ranking, limit), indent=2, ensure_ascii=False))
    else:
        Console().print(ranking_table(ranking, limit))
