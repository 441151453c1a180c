"""Scores by timestep in the terminal: a row a point, a column a band, and errors as plus-minus."""

import io

from rich.console import Console

from byline.api.noise_scores import BandScore, NoiseScore
from byline_indexer.cli.noise_table import noise_table
from tests.byline.api.answers import answer, point


def printed(replicates: int, error: float | None) -> str:
    noise = NoiseScore(
        standard_error=error,
        bands=(
            BandScore(target="denoising_0_49", score=3.0, standard_error=error),
            BandScore(target="denoising_50_99", score=-1.0, standard_error=error),
        ),
    )
    told = point(1, 2.0, id="[red]one").model_copy(update={"noise": noise})
    found = answer().model_copy(update={"replicates": replicates, "proponents": (told,), "opponents": None})
    console = Console(file=io.StringIO(), width=120)
    console.print(noise_table(found))
    return console.file.getvalue()


def test_parts_stand_beside_the_score_with_their_errors() -> None:
    shown = printed(4, 0.25)
    assert "over 4 sets" in shown
    assert "denoising_0_49" in shown
    for cell in ("proponent 1", "[red]one", "+2 ± 0.25", "+3 ± 0.25", "-1 ± 0.25"):
        assert cell in shown


def test_one_set_has_no_error() -> None:
    shown = printed(1, None)
    assert "over 1 set of" in shown
    assert "+2 ±" not in shown
