"""Sub-commands that look at a finished index: inspect, verify, self-influence."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from byline_indexer.cli.options import IndexPath, Json

if TYPE_CHECKING:
    from byline.index.index import AttributionIndex

Limit = Annotated[
    int,
    typer.Option("--limit", "-n", min=1, help="Training points to print. Example: `--limit 50`"),
]
Offset = Annotated[
    int,
    typer.Option(min=0, help="Training points to skip: the next page of 20 is `--limit 20 --offset 20`"),
]


def inspect(index: IndexPath, *, as_json: Json = False) -> None:
    """Show the recipe, the members, the rows, the owners and the bytes of an index.

    Checks the sizes of its files. `byline verify` checks their contents.

    Example: `byline inspect indexes/digits`
    """
    from rich.console import Console

    from byline.index.index import AttributionIndex
    from byline_indexer.cli.tables import index_facts, index_table

    opened = AttributionIndex.open(index, verify=False)
    if as_json:
        typer.echo(json.dumps(index_facts(opened), indent=2, ensure_ascii=False))
    else:
        Console().print(index_table(opened))


def verify(index: IndexPath) -> None:
    """Compare every file of an index with the checksums in its manifest.

    The exit code is 0 if all files agree, and 1 otherwise. In that case the damaged files are named.

    Example: `byline verify indexes/digits`
    """
    from byline.errors import CorruptIndex
    from byline.index.index import find_version
    from byline.index.verification import verify as verify_version
    from byline_indexer.cli.progress_bar import bar
    from byline_indexer.cli.tables import size

    version = find_version(index)
    with bar() as observer:
        report = verify_version(version, observer.progress)
    if not report.intact:
        found = "; ".join(f"{f.path} {f.problem}" for f in report.findings)
        raise CorruptIndex(f"{version}: {found}: restore the index, or rebuild it with --force")
    typer.echo(f"{version}: {report.files} files ({size(report.size)}) agree with their checksums")


def self_influence(index: IndexPath, *, limit: Limit = 20, offset: Offset = 0, as_json: Json = False) -> None:
    """List the training points with the largest self-influence: mislabeled and unusual points come first.

    Self-influence is the score of a training point for itself.

    Example: `byline self-influence indexes/digits --limit 50`
    """
    from rich.console import Console

    from byline.index.index import AttributionIndex
    from byline.recipes import refuse_no_self_influence
    from byline_indexer.cli.tables import self_influence_table

    opened = AttributionIndex.open(index)
    refuse_no_self_influence(opened.recipe)
    found = strongest_points(opened, limit, offset)
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        Console().print(self_influence_table(found))


def strongest_points(opened: "AttributionIndex", limit: int, offset: int) -> list[dict[str, object]]:
    """Find the training points with the largest self-influence, ties by row.

    Args:
        opened: The index.
        limit: How many.
        offset: How many to skip.

    Returns:
        One document a point: rank, row, self_influence and the example.
    """
    import numpy as np

    values_R = np.asarray(opened.self_influence)
    rows = np.argsort(-values_R, kind="stable")[offset : offset + limit]
    examples = opened.examples.by_rows(rows)
    return [
        {
            "rank": offset + place + 1,
            "row": int(row),
            "self_influence": float(values_R[row]),
            "example": example.model_dump(mode="json"),
        }
        for place, (row, example) in enumerate(zip(rows, examples, strict=True))
    ]
