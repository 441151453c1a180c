"""Lay out a ranking of candidates as a table."""

from rich.table import Table
from rich.text import Text

from byline_indexer.candidates import CandidateRanking, RankedCandidate
from byline_indexer.cli.tables import plain


def ranking_table(ranking: CandidateRanking, limit: int) -> Table:
    """Lay out the best candidates of a ranking.

    Args:
        ranking: All candidates.
        limit: Number of candidates to show.
    """
    points = f"{ranking.target_points:,} target point{'' if ranking.target_points == 1 else 's'}"
    table = Table(
        title=plain(
            f"{len(ranking.candidates):,} candidates for {points} ({ranking.reduction}, '{ranking.target}')"
        ),
        caption=plain(ranking.note),
    )
    for column in ("rank", "line"):
        table.add_column(column, justify="right")
    table.add_column("id")
    table.add_column("score", justify="right")
    if ranking.candidates[0].standard_error is not None:
        table.add_column("±", justify="right")
    if ranking.unit is not None:
        table.add_column(f"predicted change ({ranking.unit})", justify="right")
    if ranking.candidates[0].predicted_total is not None:
        table.add_column("of all down to here", justify="right")
    if ranking.candidates[0].target_point is not None:
        table.add_column("target point", justify="right")
    for row in ranking.candidates[:limit]:
        table.add_row(*_cells(row))
    return table


def _cells(row: RankedCandidate) -> list[str | Text]:
    figures = [row.score, row.standard_error, row.predicted_change, row.predicted_total]
    cells: list[str | Text] = [f"{row.rank:,}", f"{row.line:,}", plain(row.id or "")]
    cells += [f"{figure:+.3g}" for figure in figures if figure is not None]
    return cells if row.target_point is None else [*cells, f"{row.target_point:,}"]
