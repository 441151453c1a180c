"""Indexes to serve: the digits classifier, the small GPT of the demo, and a tiny one for smoke runs."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.tasks.tiny import build_tiny

ROOT = Path(__file__).resolve().parents[2]
DIGITS, GPT = ROOT / ".demo" / "digits" / "index", ROOT / ".demo" / "index"
TEXTS = (
    "def __init__(self, name, value):\n        self.name = name",
    "    for key, value in sorted(items.items()):\n        yield key",
    "class Error(Exception):\n    ",
    "import os\nimport sys\n\n",
    "    if not isinstance(value, str):\n        raise TypeError(",
    "    with open(path, encoding='utf-8') as file:\n        return ",
    "async def send(self, message):\n    await ",
    "@property\ndef width(self):\n    return self._",
)


@dataclass(frozen=True)
class Case:
    """An index with queries."""

    name: str
    index: Path
    queries: Sequence[dict]
    words: str = ""
    """Description in a table."""
    options: dict = field(default_factory=lambda: {"k": 10})

    @property
    def bodies(self) -> list[bytes]:
        """JSON bodies, one for each query."""
        return [json.dumps({"query": query, **self.options}).encode() for query in self.queries]


def tiny(folder: Path) -> Case:
    """Build a tiny index."""
    queries = [{"features": [0.1 * number, -1, 0.25, 2, 0, 1]} for number in range(32)]
    return Case("tiny", build_tiny(folder), queries, "tiny index")


def digits() -> Case:
    """Take the index of the digits example; missing models and indexes are made."""
    if not (DIGITS / "current").exists():
        _run("-m", "examples.digits.train")
        _run("-m", "byline", "build", "examples/digits/byline.toml")
    from examples.digits import task

    pixels = task.digits()[0][task.TRAINED_ON :][:64]
    queries = [{"features": row.tolist()} for row in pixels]
    return Case("digits", DIGITS, queries, "digits MLP, 4 checkpoints, 1,000 x 8,192")


def gpt() -> Case:
    """Take the index of `make demo`, which is made where it is missing."""
    if not (GPT / "current").exists():
        _run("-m", "examples.demo")
    return Case(
        "code-lm", GPT, [{"text": text} for text in TEXTS * 4], "small GPT of the demo, 4 checkpoints"
    )


def _run(*words: str) -> None:
    print(f"$ python {' '.join(words)}", flush=True)
    subprocess.run([sys.executable, *words], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
