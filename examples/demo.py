"""The main job on real input: `make demo`, or `python -m examples.demo`.

Trains a small language model on the source code of installed packages, indexes what it was trained
on, serves the index, and asks over HTTP who made the model write what it writes.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from byline.tasks import Document
from byline.tasks.pretrained import Tokens
from examples.code_lm import train
from examples.code_lm.corpus import PACKAGES, Corpus, Sizes, collect, write_documents
from examples.report import show_answer
from examples.service_process import serving

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".demo"
BUILD_FILE = ROOT / "examples" / "code_lm" / "byline.toml"
SHOWCASES = ("starlette", "rich", "pydantic")
"""Packages whose held-out file is shown in full; the others count towards the check."""
PROMPT_TOKENS = 72
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


def main(
    *,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over, reuse nothing.")] = False,
    smoke: Annotated[bool, typer.Option("--smoke", help="Seconds of work, to see it run.")] = False,
    folder: Annotated[Path | None, typer.Option(help="Where everything goes.")] = None,
) -> None:
    """Train, index, serve and ask."""
    demo = SMOKE if smoke else Demo(FOLDER, Sizes(), train.Training())
    demo = demo if folder is None else replace(demo, folder=folder.resolve())
    if fresh:
        shutil.rmtree(demo.folder, ignore_errors=True)
    demo.folder.mkdir(parents=True, exist_ok=True)
    with stage("corpus"):
        corpus = collect(demo.packages, demo.sizes)
        describe_corpus(corpus)
    with stage("training"):
        train_if_needed(demo, corpus)
    with stage("index"):
        build_file = build_file_for(demo)
        console.print(f"[bold]$ byline build {near(build_file)}")
        subprocess.run([sys.executable, "-m", "byline", "build", str(build_file)], check=True, cwd=ROOT)
    with stage("service and queries"):
        console.print(f"[bold]$ byline serve {near(demo.index)}")
        with serving(demo.index, demo.folder / "service.log") as client:
            console.print(f"the page is at [link]{client.base_url}[/link]\n")
            ask(client, demo, corpus)
    console.print(
        f"The service of this demo has ended. To look at the page: [bold]byline serve {near(demo.index)}"
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
    receipt = demo.folder / "trained.json"
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
    path.write_text(
        BUILD_FILE.read_text().replace("../../.demo/index", "index").replace("workers = 2", "workers = 1")
    )
    return path


def ask(client: httpx.Client, demo: Demo, corpus: Corpus) -> None:
    """Ask about held-out files: some in full, all for the check."""
    prompts = list(held_out_prompts(demo, corpus))
    for package in SHOWCASES:
        for document, prompt in [p for p in prompts if p[0].label == package][:1]:
            answer = post(client, {"query": {"text": prompt}, "k": 5, "shares": True})
            show_answer(console, prompt, str(document.uri), answer)
    queries = [{"text": prompt, "attribute": "text"} for _, prompt in prompts]
    answers = post(client, {"queries": queries, "k": 10})["answers"]
    owners = [document.owner for document, _ in prompts]
    found = [
        hit["example"]["owner"] == owner
        for owner, answer in zip(owners, answers, strict=True)
        for hit in answer["proponents"]
    ]
    trained = [document.owner for document in corpus.train for _ in range(len(document.text))]
    chance = sum(trained.count(owner) for owner in owners) / len(trained) / len(owners)
    console.print(
        f"Check: of the {len(found)} top influencers of {len(prompts)} held-out snippets, "
        f"[bold]{sum(found) / len(found):.0%}[/bold] are by the snippet's own owner "
        f"({chance:.0%} by chance).\n"
    )


def post(client: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    """Ask the service; anything but an answer raises."""
    response = client.post("/v1/indexes/code-lm/attributions", json=body)
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


def held_out_prompts(demo: Demo, corpus: Corpus) -> Iterator[tuple[Document, str]]:
    """Cut a snippet of each held-out file: from a function or class on, past the file's header.

    Yields:
        (the file, the snippet).
    """
    encode = Tokens(demo.folder).encode
    for document in corpus.held_out:
        text = document.text[len(document.text) // 4 :]
        start = max(text.find("\n    def "), text.find("\ndef "), text.find("\nclass "))
        snippet = text[start + 1 :] if start >= 0 else text
        _, spans = encode(snippet[:2_000])
        yield document, snippet[: spans[min(PROMPT_TOKENS, len(spans)) - 1][1]]


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


def near(path: Path) -> str:
    """Write a path as a person in the repository would."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


if __name__ == "__main__":
    typer.run(main)
