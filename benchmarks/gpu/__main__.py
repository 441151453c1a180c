"""Everything that a GPU changes, on one machine, in under eight minutes: passes, or says what to change.

    python -m benchmarks.gpu            # an NVIDIA GPU, torch with CUDA, faiss-gpu
    python -m benchmarks.gpu --smoke    # the same steps in small on a CPU

Steps: the machine, tests/gpu, builds of SmolLM2-135M's shape in bf16 beside float32, a query, FAISS on the GPU. A step that
fails is told with its remedy, and the next ones run all the same.
"""

import argparse
import time
import traceback

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.gpu.checks import Failed, Place, builds, machine, query, search, tests
from benchmarks.gpu.shape import SMALL, Shape

CHECKS = {
    "machine": machine,
    "tests/gpu": tests,
    "builds in bf16": builds,
    "query": query,
    "faiss-gpu": search,
}
LIMIT_S = 480


def main() -> int:
    """Run every check; 1 if one fails or all take too long."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="the same steps in small on a CPU")
    smoke = parser.parse_args().smoke
    place = Place("cpu", SMALL, 1_000) if smoke else Place("cuda", Shape(), 1_000_000)
    table = Table("step", "", "s", "figures, or what to change")
    began, failed = time.monotonic(), 0
    for name, check in CHECKS.items():
        start = time.monotonic()
        passed, words = outcome(check, place)
        failed += not passed
        seconds = time.monotonic() - start
        print(name, "passed" if passed else "FAILED", f"{seconds:.1f} s:", words, flush=True)
        table.add_row(name, "passed" if passed else "[bold]FAILED[/bold]", f"{seconds:.1f}", escape(words))
        if not passed and check is machine:
            break
    whole = time.monotonic() - began
    Console(width=150).print(table, f"{whole:.0f} s of at most {LIMIT_S}", sep="\n")
    return int(failed > 0 or whole > LIMIT_S)


def outcome(check: object, place: Place) -> tuple[bool, str]:
    """Run one check. An error that nothing foresaw is told with its place."""
    assert callable(check)
    try:
        return True, str(check(place))
    except Failed as error:
        return False, str(error)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        words = f"{type(error).__name__} in {last.filename}:{last.lineno}: {error}"
        return False, f"{words:.300}: report this line with the versions above"


if __name__ == "__main__":
    raise SystemExit(main())
