"""The main job on real input: `make demo`, or `python -m examples.demo`.

Trains a small language model on the source code of installed packages, indexes what it was trained
on, serves the index, and asks over HTTP who made the model write what it writes.
"""

import hashlib
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from examples.code_lm import train
from examples.code_lm.corpus import PACKAGES, Corpus, Sizes, collect, write_documents
from examples.questions import ask
from examples.service_process import serving

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".demo"
BUILD_FILE = ROOT / "examples" / "code_lm" / "byline.toml"
LOCAL = Path(sys.executable).with_name("byline")
BYLINE = str(LOCAL.relative_to(ROOT)) if LOCAL.is_relative_to(ROOT) else "byline"
"""The command as a person in the repository types it: `make` installs it in `.venv/bin`."""
RECEIPT = "trained.json"
"""Says from which files and settings the checkpoints beside it were trained."""
console = Console()
if not console.is_terminal:
    console = Console(width=116)


@dataclass(frozen=True)
class Demo:
    """What is made, and where."""

    folder: Path
    sizes: Sizes
    training: train.Training
    packages: tuple[str, ...] = PACKAGES

    @property
    def index(self) -> Path:
        """The index directory."""
        return self.folder / "index"


SMOKE = Demo(
    folder=FOLDER / "smoke",
    sizes=Sizes(files=2, held_out=1, characters=6_000, file_characters=3_000),
    training=train.Training(vocabulary=320, layers=1, width=32, heads=2, seeds=(0, 1), steps=5, batch=4),
    packages=("click", "rich", "starlette", "pydantic"),
)
SMALL = Demo(
    folder=FOLDER / "small",
    sizes=Sizes(files=8, held_out=1, characters=16_000, file_characters=4_000),
    training=train.Training(vocabulary=768, width=64, seeds=(0, 1, 2), steps=300),
)
"""What deploy/ serves: all packages and owners, about a minute of work on two cores."""


def main(
    *,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over, reuse nothing.")] = False,
    smoke: Annotated[bool, typer.Option("--smoke", help="Seconds of work, to see it run.")] = False,
    small: Annotated[bool, typer.Option("--small", help="A minute of work.")] = False,
    index_only: Annotated[bool, typer.Option("--index-only", help="Do not serve and ask.")] = False,
    folder: Annotated[Path | None, typer.Option(help="Where everything goes.")] = None,
) -> None:
    """Train, index, serve and ask."""
    demo = SMOKE if smoke else SMALL if small else Demo(FOLDER, Sizes(), train.Training())
    demo = demo if folder is None else replace(demo, folder=folder.resolve())
    demo.folder.mkdir(parents=True, exist_ok=True)
    if fresh:
        (demo.folder / RECEIPT).unlink(missing_ok=True)
    with stage("corpus"):
        corpus = collect(demo.packages, demo.sizes)
        describe_corpus(corpus)
    with stage("training"):
        train_if_needed(demo, corpus)
    with stage("index"):
        build_file = build_file_for(demo)
        show_command("build", build_file)
        command = [sys.executable, "-m", "byline", "build", str(build_file)]
        subprocess.run([*command, *(["--force"] if fresh else [])], check=True, cwd=ROOT)
    if index_only:
        return
    with stage("service and queries"):
        show_command("serve", demo.index)
        with serving(demo.index, demo.folder / "service.log") as client:
            console.print(f"the page is at [link]{client.url}/[/link]\n")
            ask(client, demo.folder, corpus, console)
    console.print(
        f"The demo's service has ended. [bold]{typed('serve', demo.index)}[/bold] serves what it built: "
        "the page is then at [link]http://127.0.0.1:8000[/link], and a first start prints a link that signs in"
    )


def describe_corpus(corpus: Corpus) -> None:
    """Print what the model is trained on."""
    owners = len({document.owner for document in corpus.train})
    packages = len({document.label for document in corpus.train})
    characters = sum(len(document.text) for document in corpus.train)
    console.print(
        f"{len(corpus.train)} files of {packages} packages by {owners} owners, "
        f"{characters:,} characters; {len(corpus.held_out)} files held out"
    )


def train_if_needed(demo: Demo, corpus: Corpus) -> None:
    """Train the tokenizer and the models, unless the same was done before."""
    inputs = f"{corpus.digest} {demo.training} {Path(train.__file__).read_text()}"
    receipt = demo.folder / RECEIPT
    done = {"inputs": hashlib.sha256(inputs.encode()).hexdigest()}
    if receipt.is_file() and json.loads(receipt.read_text()) == done:
        console.print("trained before on the same files: reused (--fresh starts over)")
        return
    receipt.unlink(missing_ok=True)
    for old in demo.folder.glob("seed-*.safetensors"):
        old.unlink()
    documents = demo.folder / "train.json"
    write_documents(documents, corpus.train)
    train.prepare(demo.folder, corpus.train, demo.training)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bars = {
            seed: progress.add_task(f"training seed {seed}", total=demo.training.steps)
            for seed in demo.training.seeds
        }
        train.train_all(
            demo.folder,
            documents,
            demo.training,
            lambda seed, step: progress.update(bars[seed], completed=step),
        )
    receipt.write_text(json.dumps(done))


def build_file_for(demo: Demo) -> Path:
    """Find the build file; a demo in another folder gets one of its own."""
    if demo.folder == FOLDER:
        return BUILD_FILE
    (demo.folder / "task.py").write_text(
        "from pathlib import Path\n\nfrom examples.code_lm.task import task as code_lm\n\n\n"
        "def task():\n    return code_lm(Path(__file__).resolve().parent)\n"
    )
    path = demo.folder / "byline.toml"
    changes = {"../../.demo/index": "index", "workers = 2": "workers = 1"}
    path.write_text(changed(BUILD_FILE.read_text(), changes))
    return path


def changed(text: str, changes: Mapping[str, str]) -> str:
    """Replace parts of a text.

    Args:
        text: Holds each part exactly once.
        changes: Part -> what takes its place.

    Returns:
        The text with all changes.

    Raises:
        ValueError: A part is not there, or more than once.
    """
    for part, instead in changes.items():
        if (count := text.count(part)) != 1:
            raise ValueError(f"expected {part!r} once in the build file, found it {count} times")
        text = text.replace(part, instead)
    return text


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Say what is done, and how long it took.

    Yields:
        While it is done.
    """
    console.rule(f"[bold]{name}", align="left")
    began = time.monotonic()
    yield
    console.print(f"[dim]{name}: {time.monotonic() - began:.1f} s[/dim]\n")


def show_command(*words: str | Path) -> None:
    """Print a command of Byline that is run now, in one line: it can be copied."""
    console.print(f"[bold]$ {typed(*words)}", soft_wrap=True)


def typed(*words: str | Path) -> str:
    """Write a command of Byline as a person in the repository types it, quoted where a shell needs it."""
    return escape(shlex.join([BYLINE, *map(near, words)]))


def near(word: str | Path) -> str:
    """Write a path below the repository relative to it."""
    below = isinstance(word, Path) and word.is_relative_to(ROOT)
    return str(word.relative_to(ROOT)) if below else str(word)


if __name__ == "__main__":
    typer.run(main)
