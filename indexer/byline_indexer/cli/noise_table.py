"""Lay out scores over draws of a diffusion model's noise, by band of timesteps, for the terminal."""

from rich.table import Table

from byline.api.answer import Answer
from byline_indexer.cli.tables import plain


def noise_table(answer: Answer) -> Table:
    """Lay out every listed point's score with its standard error over the draws, and its parts.

    Args:
        answer: An answer that was asked with `replicates`.

    Returns:
        A row for each point, a column for each band.
    """
    ends = (("proponent", answer.proponents), ("opponent", answer.opponents))
    listed = [(f"{name} {point.rank}", point) for name, points in ends for point in points or ()]
    bands = {
        band.target: None for _, point in listed if point.noise is not None for band in point.noise.bands
    }
    sets = "1 set" if answer.replicates == 1 else f"{answer.replicates} sets"
    title = f"over {sets} of the query's timesteps and noise, ± one standard error"
    table = Table("", "id", "score", title=title)
    for band in bands:
        table.add_column(plain(band))
    for name, point in listed:
        assert point.noise is not None
        parts = [_with_error(band.score, band.standard_error) for band in point.noise.bands]
        whole = _with_error(point.score, point.noise.standard_error)
        table.add_row(name, plain(point.example.id), whole, *parts)
    return table


def _with_error(score: float, error: float | None) -> str:
    return f"{score:+.3g}" if error is None else f"{score:+.3g} ± {error:.2g}"
