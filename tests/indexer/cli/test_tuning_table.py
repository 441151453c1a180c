"""The table of a tuning, and the sentences below it."""

import numpy as np
import pytest
from rich.console import Console

from byline.api.blend import Blend
from byline.api.quality_card import BaselineFigure
from byline.metrics import Interval
from byline.recipes import recipe
from byline_indexer.cli.tuning_table import chosen_lines, rival_lines, tuning_table
from byline_indexer.evaluation.candidates import Candidate
from byline_indexer.evaluation.costs import Cost
from byline_indexer.evaluation.trials import Trial
from byline_indexer.evaluation.tune import Tuned


def trial(lds: float, row_bytes: float, milliseconds: float = 1.0, **changes: object) -> Trial:
    chosen = Candidate(recipe("ekfac", **changes))
    return Trial(chosen, Cost(row_bytes, 10_000, milliseconds), np.zeros((2, 1)), np.array([lds]))


OWN = trial(0.30, 8192)
SMALL = trial(0.35, 2048, projection={"size": 512})
BEATEN = trial(0.34, 4096, projection={"size": 1024})
BEST = trial(0.40, 4096, projection={"size": 64}, pca={"size": 16})
TUNED = Tuned(
    tried=[OWN, SMALL, BEATEN, BEST], best=BEST, within=True, interval=Interval(0.35, 0.45), queries=90,
    rivals={
        "bm25": BaselineFigure(value=0.41, lead=(-0.05, 0.03)),
        "representation": BaselineFigure(value=0.1, lead=(0.2, 0.4)),
    },
)  # fmt: skip


def printed(tuned: Tuned) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(tuning_table(tuned))
    return capture.get()


def test_the_table_has_what_nothing_beats_and_the_build_files_own() -> None:
    text = printed(TUNED)
    assert text.index("size 64, PCA 16") < text.index("size 512"), "the largest LDS first"
    assert "best" in text
    assert "build file" in text
    assert "size 1,024" not in text
    assert "1 other settings" in text
    assert "4,096" in text
    assert "90 tuning queries" in text


def test_it_says_what_is_as_good_as_gradients() -> None:
    first, second = rival_lines(TUNED)
    assert first.startswith("BM25 is as good as gradients here, and costs none: its LDS 0.410")
    assert "-0.050 to +0.030" in first
    assert second.startswith("Gradients are better than representation similarity here: its LDS 0.100")


@pytest.mark.parametrize("weight", [0.25, 2.0])
def test_the_lines_to_use(weight: float) -> None:
    text = "\n".join(chosen_lines(TUNED))
    assert "projection.size = 64" in text
    assert "pca.size = 16" in text
    assert "0.350 to 0.450" in text
    assert "--refine" not in text
    chosen = Candidate(BEST.candidate.recipe, refine=8, blend=Blend(baseline="bm25", weight=weight))
    other = Trial(chosen, BEST.cost, BEST.predicted_SE, BEST.lds_Q)
    lines = chosen_lines(Tuned([OWN, other], other, False, None, {}, 90))
    assert lines[0].startswith("No setting is within the budget")
    text = "\n".join(lines)
    assert "--refine 8" in text
    assert "--baseline blend" in text
    assert f'[blend]\nbaseline = "bm25"\nweight = {weight:g}' in text
