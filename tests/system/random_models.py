"""Compare the gradient collector with float64 autograd on random small models.

    python -m tests.system.random_models                       # 2,000 models, about 5 minutes on one core
    python -m tests.system.random_models --models 500 --first 2000
    python -m tests.system.random_models --smoke

Every model has a random layout of its batch, random parts in a random order, and random parameters that are frozen
or tied (`tests/byline/gradients/random_models`). Its gradients are collected over batches of many compositions. Exit code 0
means that no gradient differed silently, and that nothing but `UnsupportedModel` was raised.
"""

import argparse
import re
import sys
from collections import Counter

import torch
from rich.console import Console
from rich.table import Table

from tests.byline.gradients.exactness import examine
from tests.byline.gradients.random_models import random_subject

MODELS, SMOKE_MODELS = 2000, 10


def main() -> int:
    """Examine models one by one and print the counts; 1 if one was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=MODELS, help="number of models")
    parser.add_argument("--first", type=int, default=0, help="seed of the first model")
    parser.add_argument("--smoke", action="store_true", help=f"{SMOKE_MODELS} models")
    options = parser.parse_args()
    torch.set_num_threads(1)
    count = SMOKE_MODELS if options.smoke else options.models
    outcomes, reasons, largest = Counter[str](), Counter[str](), 0.0
    for seed in range(options.first, options.first + count):
        subject, words = random_subject(seed)
        verdict = examine(subject)
        outcomes[verdict.outcome] += 1
        if verdict.outcome == "exact":
            largest = max(largest, verdict.error)
        elif verdict.outcome == "refused":
            reasons[without_names(verdict.words)] += 1
        else:
            print(f"{verdict.outcome}: {words}: error {verdict.error:.1e}, {verdict.words}", file=sys.stderr)
    show(outcomes, reasons, largest)
    return int(outcomes["silent"] + outcomes["crash"] > 0)


def without_names(message: str) -> str:
    """Strip a refusal of names and numbers, so that equal ones are counted together."""
    return re.sub(r"\d+(\.\d+)?(e[-+]\d+)?", "#", re.sub(r"'[^']*'", "'…'", message))[:160]


def show(outcomes: Counter[str], reasons: Counter[str], largest: float) -> None:
    """Print the counts, and the reasons of refusals."""
    table = Table("outcome", "models", "")
    table.add_row("exact", str(outcomes["exact"]), f"largest error {largest:.0e} of the largest gradient")
    table.add_row("refused", str(outcomes["refused"]), "")
    for reason, count in reasons.most_common():
        table.add_row("", str(count), reason)
    table.add_row("different in silence", str(outcomes["silent"]), "")
    table.add_row("another error", str(outcomes["crash"]), "")
    Console(width=150).print(table)


if __name__ == "__main__":
    sys.exit(main())
