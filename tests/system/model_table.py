"""Write the table of docs/tasks.md: kinds of models, with their largest error against float64 autograd.

    python -m tests.system.model_table            # about a minute on one core
    python -m tests.system.model_table --smoke    # a few kinds, printed and not written

The cases are those of tests/byline/gradients. Nothing is written if one of them fails.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tests.byline.gradients import structures, torch_modules
from tests.byline.gradients.cases import ModelCase, fault
from tests.byline.gradients.exactness import examine

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tasks.md"
BEGIN, END = (
    "<!-- table of models: python -m tests.system.model_table -->",
    "<!-- end of the table of models -->",
)
HEAD = "| kind | tested | a pass serves | largest error | refused |\n|---|---|---|---|---|"
SEPARATOR = " · "
PLACES = ("alone", "in a small model")
WORDS = {"batch": "a batch", "example": "one example"}


@dataclass
class Row:
    """One kind of model."""

    kind: str
    exact: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    passes: set[str] = field(default_factory=set)
    error: float = 0.0

    def __str__(self) -> str:
        error = number(self.error) if self.exact else "-"
        passes = " or ".join(WORDS[each] for each in sorted(self.passes)) or "-"
        return f"| {self.kind} | {joined(self.exact)} | {passes} | {error} | {joined(self.refused)} |"


def all_cases() -> list[ModelCase]:
    """List every case of the table, in its order."""
    from tests.byline.gradients import families

    return [*torch_modules.cases(), *structures.cases(), *families.cases()]


def rows(cases: Sequence[ModelCase]) -> tuple[list[Row], list[str]]:
    """Examine cases, and return the rows of the table and the faults."""
    found: dict[str, Row] = {}
    wrong = []
    for case in cases:
        row, verdict = found.setdefault(case.kind, Row(case.kind)), examine(case.subject())
        if fault(case, verdict):
            wrong.append(f"{case.name}: {fault(case, verdict)}")
        elif verdict.outcome == "refused":
            row.refused.append(f"{case.form}: {case.reason}")
        else:
            row.exact.append(case.form)
            row.passes.add(verdict.passes)
            row.error = max(row.error, verdict.error)
    return list(found.values()), wrong


def joined(forms: Iterable[str]) -> str:
    """Join the forms of one kind; forms that are tested in two places are named once."""
    every = list(dict.fromkeys(forms))
    parted = [
        next(((p, f.removeprefix(p).lstrip(", ")) for p in PLACES if f.startswith(p)), ("", f)) for f in every
    ]
    words = list(dict.fromkeys(form for _, form in parted))
    if not parted or not parted[0][0]:
        return SEPARATOR.join(words)
    places = [place for place in PLACES if place in {p for p, _ in parted}]
    listed = SEPARATOR.join(word for word in words if word)
    return " and ".join(places) + (f": {listed}" if listed else "")


def number(error: float) -> str:
    """Write an error to one digit: `2e-7`."""
    if error == 0:
        return "0"
    digits, exponent = f"{error:.0e}".split("e")
    return f"{digits}e{int(exponent)}"


def written(page: str, table: Sequence[Row]) -> str:
    """Put the table between the markers of a page."""
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    lines = "\n".join(map(str, table))
    return f"{before}{BEGIN}\n\n{HEAD}\n{lines}\n\n{END}{after}"


def main() -> int:
    """Examine every case and write the table; 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="a few kinds, printed and not written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table, wrong = rows(torch_modules.cases()[:4] if options.smoke else all_cases())
    for line in wrong:
        print(line, file=sys.stderr)
    if options.smoke:
        print("\n".join(map(str, table)))
    elif not wrong:
        PAGE.write_text(written(PAGE.read_text(), table))
        print(f"{len(table)} kinds of models in {PAGE.name}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
