"""CPU seconds of `byline query`: one process, from its start to its answer.

    python -m benchmarks.speed.cold_query            # a Llama of 31 million random weights, two minutes
    python -m benchmarks.speed.cold_query --smoke    # one of 0.2 million

Builds an index with one thread, and asks it in new processes: with the check of the gradients that the build left, without
it, and in the process of `Attributor.open` for a second time. Importing torch and transformers alone is beside them.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import Targets
from benchmarks.tasks.random_llama import LlamaSize, write_llama

QUERY = json.dumps({"text": "def add(a, b):", "completion": " return a + b"})
SMALL = LlamaSize(width=64, layers=2, vocabulary=1024, characters=1500)
MOST = 6.0
"""CPU seconds that a cold query may take beyond the imports of its libraries."""
SHARE = 0.5
"""Share of the CPU seconds of a query that checks, that one without may take."""


def cpu_seconds(command: Sequence[str]) -> float:
    """Run a command and measure the processor's time of it, in one thread."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command,
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def build(folder: Path) -> Path:
    """Build an index of the folder's Task with the cheapest recipe, in a process of its own."""
    (folder / "build.toml").write_text(
        'task = "llama.py:task"\n[recipe]\nname = "grad_dot"\n[index]\npath = "index"\n'
    )
    cpu_seconds([sys.executable, "-m", "byline", "build", str(folder / "build.toml")])
    return folder / "index"


def served_seconds(index: Path) -> float:
    """Measure a query of an index that is open."""
    from byline.attribution.attributor import Attributor

    attributor = Attributor.open(index)
    attributor.attribute(json.loads(QUERY))
    begun = time.process_time()
    attributor.attribute(json.loads(QUERY))
    return time.process_time() - begun


def measure(size: LlamaSize) -> dict[str, float]:
    """Build, and ask in new processes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parameters = write_llama(folder, size)
        index = build(folder)
        command = [sys.executable, "-m", "byline", "query", str(index), "--query", QUERY]
        known = min(cpu_seconds(command) for _ in range(2))
        (index / ".checks.json").unlink()
        checking = cpu_seconds(command)
        imports = cpu_seconds(
            [sys.executable, "-c", "import torch; from transformers import LlamaForCausalLM"]
        )
        served = served_seconds(index)
    return {
        "parameters_millions": parameters / 1e6,
        "imports_seconds": imports,
        "query_that_checks_seconds": checking,
        "query_seconds": known,
        "open_index_seconds": served,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a tiny model")
    arguments = parser.parse_args()
    figures = measure(SMALL if arguments.smoke else LlamaSize())
    for name, value in figures.items():
        print(f"{name:26} {value:8.2f}")
    if arguments.smoke:
        return 0
    targets = Targets()
    beyond = figures["query_seconds"] - figures["imports_seconds"]
    targets.at_most("CPU seconds of a cold query beyond imports", beyond, MOST)
    share = figures["query_seconds"] / figures["query_that_checks_seconds"]
    targets.at_most("of a query that checks gradients", share, SHARE)
    return targets.exit_code()


if __name__ == "__main__":
    raise SystemExit(main())
