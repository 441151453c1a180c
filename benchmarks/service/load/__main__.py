"""The service under load, on loopback: throughput, overload, a crowd, memory, stages, restarts.

    python -m benchmarks.service.load                     # about 12 minutes on two cores
    python -m benchmarks.service.load --only throughput overload
    python -m benchmarks.service.load --smoke

Serves the index of the digit classifier and that of the demo's small GPT (both are made first where they are not there)
with one thread of torch and FAISS, so that HTTP has the other core. Clients are Debian's wrk where it is installed, for
the throughput, and otherwise a small asyncio client in this process; they carry a key. Ends with 1 if a target is missed.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import Targets
from benchmarks.service.cases import digits, gpt, tiny
from benchmarks.service.load import crowd, memory, overload, soak, stages, throughput
from benchmarks.service.serving import Server, serving

PARTS = ("throughput", "overload", "crowd", "stages", "memory", "soak")
CASES = {"digits": digits, "code-lm": gpt}
Part = Callable[[Server, Targets], None]


def full() -> dict[str, Part]:
    """List the parts of a full run, with targets for both indexes."""

    def flat(server: Server, targets: Targets) -> None:
        if server.case.name == "digits":
            memory.measure(server, targets, queries=10_000, warm_up=3_000)

    return {
        "throughput": lambda server, targets: throughput.measure(server, targets, rounds=5, seconds=4),
        "overload": lambda server, targets: overload.measure(server, targets, seconds=10),
        "crowd": lambda server, targets: crowd.measure(server, targets, seconds=8),
        "stages": lambda server, _: stages.measure(server, seconds=8),
        "memory": flat,
    }


def smoke() -> dict[str, Part]:
    """List the parts of a run of seconds, without targets of speed."""
    return {
        "throughput": lambda server, _: throughput.measure(server, None, rounds=1, seconds=0.3),
        "overload": lambda server, _: overload.measure(server, Targets(), seconds=0.5),
        "crowd": lambda server, _: crowd.measure(server, Targets(), seconds=0.5),
        "stages": lambda server, _: stages.measure(server, seconds=0.3),
        "memory": lambda server, _: memory.measure(server, Targets(), queries=1_000, warm_up=500),
    }


def main() -> int:
    """Run the parts; 1 if a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a tiny index and a few requests")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to run")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), help="indexes to serve")
    arguments = parser.parse_args()
    targets, parts = Targets(), smoke() if arguments.smoke else full()
    with tempfile.TemporaryDirectory() as folder:
        cases = [tiny(Path(folder))] if arguments.smoke else [CASES[name]() for name in arguments.cases]
        for case in cases:
            chosen = [parts[name] for name in arguments.only if name in parts]
            if chosen:
                with serving(case) as server:
                    for part in chosen:
                        part(server, targets)
        if "soak" in arguments.only:
            soak.measure(cases[0], targets, rounds=2 if arguments.smoke else 30)
    return targets.exit_code()


if __name__ == "__main__":
    raise SystemExit(main())
