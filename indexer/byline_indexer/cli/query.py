"""Sub-commands that ask a finished index: query, scores."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from byline.api.terms import (
    DRILLED_GROUPS,
    LEAST_COUNT,
    LISTED_END,
    LISTED_OWNERS,
    LISTED_POINTS,
    MOST_REPLICATES,
    REFINE_STEPS,
    REPLICATES,
    Direction,
    Ranking,
    Scored,
)
from byline_indexer.cli.options import IndexPath, Json, QueryBatch, Refine, Target

if TYPE_CHECKING:
    from byline.attribution.request import AttributionRequest


Payload = Annotated[
    str,
    typer.Option(
        "--query",
        "-q",
        help="The query, as JSON of the Task's own form. `-` reads it from the standard input. A label or "
        'completion that is left out is predicted first. Example: `--query \'{"text": "..."}\'`',
        show_default=False,
    ),
]
Count = Annotated[
    int,
    typer.Option("-k", min=LEAST_COUNT, help="Training points to return at each end. Example: `-k 10`"),
]
Ends = Annotated[
    Direction,
    typer.Option(help="`proponents` raised the target, `opponents` lowered it. Example: `--direction both`"),
]
Ids = Annotated[
    list[str] | None,
    typer.Option(
        "--filter-id",
        help="Only the training point with this id. Repeatable. With `--drill-down`: only this group. "
        "Example: `--filter-id train-17`",
    ),
]
Owners = Annotated[
    list[str] | None,
    typer.Option(
        "--filter-owner",
        help="Only training points of this owner. Repeatable. Example: `--filter-owner ada`",
    ),
]
Licenses = Annotated[
    list[str] | None,
    typer.Option(
        "--filter-license",
        help="Only training points under this license. Repeatable. Example: `--filter-license MIT`",
    ),
]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--filter-label", help="Only training points with this label. Repeatable. Example: `--filter-label 7`"
    ),
]
ByMember = Annotated[
    bool,
    typer.Option(
        "--members",
        help="Break each score down by member of the ensemble, for `--json`. Example: `--members --json`",
    ),
]
WithShares = Annotated[
    bool,
    typer.Option("--shares", help="Add the share of each owner, over all rows. Example: `--shares`"),
]
OwnersLimit = Annotated[
    int,
    typer.Option(
        "--owners-limit",
        min=LEAST_COUNT,
        help="Owners to list, by descending score. Example: `--shares --owners-limit 20`",
    ),
]
DrillDown = Annotated[
    bool,
    typer.Option(
        "--drill-down",
        help="On an index of groups: score the points of the top groups one by one, and list points. "
        "Example: `--drill-down`",
    ),
]
DrillGroups = Annotated[
    int,
    typer.Option(
        "--drill-groups",
        min=LEAST_COUNT,
        help="Groups to drill into at each end. Example: `--drill-down --drill-groups 20`",
    ),
]
RankedBy = Annotated[
    Ranking | None,
    typer.Option(
        "--baseline",
        help="Rank by similarity, or by the index's `blend` with it, instead of influence. Reads the training set first. "
        "Example: `--baseline bm25`",
    ),
]
ByToken = Annotated[
    bool,
    typer.Option(
        "--tokens",
        help="Tell each score token by token: what each token of the query owes, and which tokens of the training text did "
        "it. Example: `--tokens -k 3`",
    ),
]
Replicates = Annotated[
    int,
    typer.Option(
        "--replicates",
        min=0,
        max=MOST_REPLICATES,
        help="Of a diffusion model: score the mean over so many sets of timesteps and noise for the query, and tell each "
        "score by timestep with its standard error. Example: `--replicates 8`",
    ),
]
ScoresBaseline = Annotated[
    Scored | None,
    typer.Option(
        "--baseline",
        help="Score by a baseline, or by the index's `blend`, instead of influence. Example: `--baseline knn_shapley`",
    ),
]
Neighbors = Annotated[
    int,
    typer.Option(min=1, help="Nearest points that vote in knn_shapley. Example: `--neighbors 10`"),
]
QueriesFile = Annotated[
    Path,
    typer.Option(
        "--queries",
        help="One query a line, each as for `byline query`. Example: `--queries heldout.jsonl`",
        show_default=False,
    ),
]
Out = Annotated[
    Path,
    typer.Option("--out", help="The .npy file to write. Example: `--out scores.npy`", show_default=False),
]


def query(  # noqa: PLR0913 - a command's options are its arguments
    index: IndexPath,
    payload: Payload,
    *,
    k: Count = LISTED_POINTS,
    target: Target = None,
    direction: Ends = LISTED_END,
    filter_id: Ids = None,
    filter_owner: Owners = None,
    filter_license: Licenses = None,
    filter_label: Labels = None,
    members: ByMember = False,
    shares: WithShares = False,
    owners_limit: OwnersLimit = LISTED_OWNERS,
    drill_down: DrillDown = False,
    drill_groups: DrillGroups = DRILLED_GROUPS,
    baseline: RankedBy = None,
    refine: Refine = REFINE_STEPS,
    tokens: ByToken = False,
    replicates: Replicates = REPLICATES,
    as_json: Json = False,
) -> None:
    """Ask which training examples made the model predict something. Needs no server.

    The service gives the same answer.

    Example: `byline query .demo/digits/index --query '{"features": [0, 0.3, ...]}' -k 10`, with 64 numbers
    """
    from rich.console import Console

    from byline.api.query import Filter
    from byline.attribution.attributor import Attributor
    from byline.attribution.request import AttributionRequest
    from byline_indexer.cli.noise_table import noise_table
    from byline_indexer.cli.tables import answer_tables
    from byline_indexer.cli.token_lines import token_lines

    chosen = Filter(id=filter_id, owner=filter_owner, license=filter_license, label=filter_label)
    request = AttributionRequest(
        query=_parsed(payload),
        k=k,
        target=target,
        direction=direction,
        filter=None if chosen == Filter() else chosen,
        members=members,
        shares=shares,
        owners_limit=owners_limit,
        drill_down=drill_down,
        drill_groups=drill_groups,
        baseline=baseline,
        refine=refine,
        tokens=tokens,
        replicates=replicates,
    )
    answer = Attributor.open(index).attribute(request)
    if as_json:
        typer.echo(answer.model_dump_json(indent=2))
        return
    console = Console()
    for table in answer_tables(answer):
        console.print(table)
    if answer.replicates is not None:
        console.print(noise_table(answer))
    for line in token_lines(answer):
        console.print(line)


def scores(  # noqa: PLR0913 - a command's options are its arguments
    index: IndexPath,
    queries: QueriesFile,
    out: Out,
    *,
    batch: QueryBatch = 32,
    baseline: ScoresBaseline = None,
    neighbors: Neighbors = 5,
    refine: Refine = REFINE_STEPS,
) -> None:
    """Write the score of every training point for every query: float32 [queries, training points].

    The file appears when it is complete. Read it with `numpy.load(path, mmap_mode="r")`.

    Example: `byline scores .demo/digits/index --queries heldout.jsonl --out scores.npy`
    """
    from byline_indexer.cli.progress_bar import bar
    from byline_indexer.scores import Chosen, read_requests, write_scores

    requests: list[AttributionRequest] = read_requests(queries, refine=refine)
    chosen = None if baseline is None else Chosen(baseline, neighbors)
    with bar() as observer:
        write_scores(index, requests, out, batch=batch, observer=observer, baseline=chosen)
    typer.echo(str(out))


def _parsed(text: str) -> dict[str, Any]:
    from byline.errors import InvalidQuery

    raw = typer.get_text_stream("stdin").read() if text == "-" else text
    try:
        value = json.loads(raw)
    except ValueError as error:
        raise InvalidQuery(
            f'expected --query to be JSON, such as \'{{"text": "..."}}\' in single quotes: {error}'
        ) from None
    except RecursionError:
        raise InvalidQuery("expected --query to be JSON that is nested less deeply") from None
    if not isinstance(value, dict):
        raise InvalidQuery(f"expected --query to be a JSON object, got a {type(value).__name__}")
    return value
