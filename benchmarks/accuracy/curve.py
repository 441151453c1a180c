"""LDS by the numbers that are stored for a training point: few coordinates against many coordinates and a PCA.

python -m benchmarks.accuracy.curve            # one model of each case; draws docs/images/quality-bytes.svg
python -m benchmarks.accuracy.curve --smoke    # the smallest fine-tuning case, and no drawing
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.accuracy import evaluation, finetuning, sotu
from benchmarks.tasks import fashion
from benchmarks.tasks.digits import FULL, keep_models, keep_truths, reference_of, truth_of
from benchmarks.tasks.sotu.model import FULL as SPEECHES
from benchmarks.tasks.truth import Subject

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "quality-bytes.svg"
SIZES = {"ekfac": (512, 2048, 8192, 32768), "ekfac_pca": (128, 256, 512, 1024)}
SMOKE_SIZES = {"ekfac": (16, 64), "ekfac_pca": (8, 16)}
Curve = Sequence[tuple[int, float]]
"""(numbers a row, LDS), ascending."""


def main() -> None:
    """Measure the curves, print them, and draw them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny run, to see that it works")
    smoke = parser.parse_args().smoke
    torch.set_num_threads(1)
    sizes = SMOKE_SIZES if smoke else SIZES
    found = {
        case: {name: _curve(subject, name, sizes[name]) for name in sizes}
        for case, subject in _subjects(smoke=smoke).items()
    }
    table = Table("case", "recipe", "numbers a row", "LDS", title="LDS by stored numbers, one model")
    for case, curves in found.items():
        for name, curve in curves.items():
            for numbers, lds in curve:
                table.add_row(case, name, f"{numbers:,}", f"{lds:.3f}")
    Console(width=100).print(table)
    if not smoke:
        PICTURE.write_text(drawing(found))


def _subjects(*, smoke: bool) -> dict[str, Subject]:
    tuned = finetuning.Case(finetuning.CASES["texts"], smoke)
    tuned.prepare(1)
    own = {"fine-tuned GPT": tuned.subject(finetuning.ROWS[0], 0, "halves")}
    if smoke:
        return own
    keep_models(FULL)
    keep_truths(FULL)
    fashion.prepare()
    build = {"threads": 1, "batch_rows": 250, "block_rows": 1000}
    return {
        **own,
        "small GPT (speeches)": sotu.subject_of(SPEECHES),
        "digits MLP": Subject(reference_of(FULL), truth_of(FULL), build),
        "Fashion-MNIST MLP": Subject("benchmarks.tasks.fashion:task", fashion.TRUTH, build),
    }


def _curve(subject: Subject, name: str, sizes: Sequence[int]) -> Curve:
    found: dict[int, float] = {}
    for size in sizes:
        part = "pca" if name == "ekfac_pca" else "projection"
        changes: dict[str, Any] = {part: {"size": size}}
        score = evaluation.measure(subject, evaluation.Row(name, name, changes=changes), 1)
        found[score.width] = score.value  # a small model or training set has no more numbers
    return sorted(found.items())


WIDTH, HEIGHT, LEFT, TOP, STEP = 200, 160, 40, 30, 250
COLORS = {"ekfac": "#b4541a", "ekfac_pca": "#1f6f8b"}


def drawing(found: Mapping[str, Mapping[str, Curve]]) -> str:
    """Draw one panel for each case: LDS upward, numbers a row to the right on a logarithmic scale."""
    panels = [_panel(place, case, curves) for place, (case, curves) in enumerate(found.items())]
    legend = "".join(
        f'<circle cx="{LEFT + 110 * place}" cy="228" r="4" fill="{color}"/>'
        f'<text x="{LEFT + 8 + 110 * place}" y="232">{name}</text>'
        for place, (name, color) in enumerate(COLORS.items())
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {STEP * len(found) + 20} 245" role="img" '
        'font-family="sans-serif" font-size="11"><title>LDS by the numbers stored for a training point</title>'
        '<rect width="100%" height="100%" fill="#ffffff"/>' + "".join(panels) + legend + "</svg>\n"
    )


def _panel(place: int, case: str, curves: Mapping[str, Curve]) -> str:
    left = LEFT + STEP * place
    ticks = "".join(
        f'<text x="{left - 6}" y="{_y(value) + 4}" text-anchor="end">{value:.1f}</text>'
        f'<line x1="{left}" x2="{left + WIDTH}" y1="{_y(value)}" y2="{_y(value)}" stroke="#dddddd"/>'
        for value in (0.0, 0.2, 0.4, 0.6, 0.8)
    ) + "".join(
        f'<text x="{_x(left, numbers)}" y="{TOP + HEIGHT + 16}" text-anchor="middle">{label}</text>'
        for numbers, label in ((128, "128"), (1024, "1,024"), (8192, "8,192"), (32768, "32,768"))
    )
    title = f'<text x="{left}" y="{TOP - 12}" font-weight="bold">{case}</text>'
    return title + ticks + "".join(_line(left, name, curve) for name, curve in curves.items())


def _line(left: int, name: str, curve: Curve) -> str:
    points = [(_x(left, numbers), _y(lds)) for numbers, lds in curve]
    path = " ".join(f"{x},{y}" for x, y in points)
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="3" fill="{COLORS[name]}"/>' for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{COLORS[name]}" stroke-width="2"/>{dots}'


def _x(left: int, numbers: int) -> float:
    return round(left + WIDTH * float(np.log2(numbers / 100) / np.log2(32768 / 100)), 1)


def _y(lds: float) -> float:
    return round(TOP + HEIGHT * (1 - lds / 0.8), 1)


if __name__ == "__main__":
    main()
