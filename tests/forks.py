"""Commands of Python in processes of their own, which are forked where the imports of torch end: seconds earlier."""

import gc
import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PRELOADED = ("torch._dynamo", "faiss", "scipy.stats", "transformers.modeling_utils")
"""Imports alone: a process that has run torch's threads cannot be forked. Every optimizer of torch imports the first."""


class Forks:
    """A process that has imported torch and runs nothing; each command is a fork of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parent = subprocess.Popen(
            [sys.executable, "-c", "from tests import forks; forks.serve()"],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, words: list[str], folder: Path, environment: Mapping[str, str], seconds: int = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run `python -m` with these words.

        Args:
            words: A module's name and its arguments.
            folder: The current folder.
            environment: The whole environment. `PYTHONPATH` has no effect: the paths are those of the tests.
            seconds: After these it is ended by a signal.

        Returns:
            Exit code, standard output and standard error.
        """
        out, err = self._folder / "out", self._folder / "err"
        wanted = {
            "words": words,
            "folder": str(folder),
            "environment": dict(environment),
            "files": [str(out), str(err)],
            "seconds": seconds,
        }
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        print(json.dumps(wanted), file=self._parent.stdin, flush=True)
        code = int(self._parent.stdout.readline())
        return subprocess.CompletedProcess(words, code, out.read_text("utf-8"), err.read_text("utf-8"))

    def end(self) -> None:
        """End the process."""
        self._parent.communicate()


def serve() -> None:
    """Fork for each line of the standard input, and print the exit code."""
    for name in PRELOADED:
        import_module(name)
    gc.freeze()
    while line := sys.stdin.readline():
        if not (child := os.fork()):
            _become(**json.loads(line))
            return
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


def _become(
    words: list[str], folder: str, environment: dict[str, str], files: list[str], seconds: int
) -> None:
    signal.alarm(seconds)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in enumerate(files, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = list(words)
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
