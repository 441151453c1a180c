"""Write the second table of docs/tasks.md: models drawn at random from those of the installed transformers.

    python -m tests.system.drawn_models                      # twenty models, two minutes on one core
    python -m tests.system.drawn_models --seed 7 --count 50  # others, printed and not written
    python -m tests.system.drawn_models --smoke              # two models, printed and not written

Each is a model of its class from a configuration that is made small. Its gradients are held against float64 autograd, one
example at a time, over many compositions of padded batches. Nothing is written if one is neither exact nor refused.
"""

import argparse
import sys
from collections.abc import Sequence

import torch

from tests.byline.gradients.drawn_models.drawing import Drawn, drawn_models, every_model
from tests.system.model_table import PAGE, WORDS, number

BEGIN, END = (
    "<!-- table of drawn models: python -m tests.system.drawn_models -->",
    "<!-- end of the table of drawn models -->",
)
HEAD = "| model | as | attributed | a pass serves | largest error | refused |\n|---|---|---|---|---|---|"
COUNT, SEED = 20, 12


def line(found: Drawn) -> str:
    """Write one model as a line of the table."""
    if found.outcome == "refused":
        return f"| {found.kind} | {found.way} | - | - | - | {found.words} |"
    error = number(found.error) + ("" if found.reference == "float64" else " (of float32 autograd)")
    return f"| {found.kind} | {found.way} | {found.share:.0%} | {WORDS[found.passes]} | {error} |  |"


def section(models: Sequence[Drawn], seed: int = SEED) -> str:
    """Write the table, and what was left out of it."""
    tried = [each for each in models if each.outcome != "none"]
    skipped = ", ".join(sorted({each.kind for each in models if each.outcome == "none"})) or "none"
    rows = "\n".join(line(each) for each in sorted(tried, key=lambda each: (each.way, each.kind)))
    return (
        f"{HEAD}\n{rows}\n\nDrawn from {len(every_model())} pairs of a model and a task, with seed {seed}. Left out, since "
        f"the small model fails by itself: {skipped}."
    )


def written(page: str, models: Sequence[Drawn]) -> str:
    """Put the table between the markers of a page."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{section(models)}\n\n{END}{rest.split(END)[1]}"


def main() -> int:
    """Draw, examine and write; 1 if a model is neither exact nor refused."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--smoke", action="store_true", help="two models, printed and not written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    models = drawn_models(2 if options.smoke else options.count, options.seed)
    wrong = [each for each in models if each.outcome in {"silent", "crash"}]
    for each in wrong:
        print(
            f"{each.kind} as {each.way}: {each.outcome}, error {each.error:.1e}, {each.words}",
            file=sys.stderr,
        )
    if not wrong and not options.smoke and (options.seed, options.count) == (SEED, COUNT):
        PAGE.write_text(written(PAGE.read_text(), models))
        print(f"{COUNT} drawn models in {PAGE.name}")
    elif not wrong:
        print(section(models, options.seed))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
