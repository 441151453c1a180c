"""From prediction to statement: `make demo-openmoji`, or `python -m examples.openmoji.demo`.

Trains a small classifier on OpenMoji's drawings four times, indexes them, measures the index by retraining, serves it,
books what it predicts for drawings that it never saw, and pays a pool out to the authors: drafted by one person, approved
by another, posted, printed and verified.
"""

import itertools
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich import box
from rich.table import Table
from rich.text import Text
from safetensors.torch import save_file

from byline.attribution.attributor import Attributor
from byline_service.pages.formats import plain_amount
from examples.demo import ROOT, console, show_command, stage
from examples.desk import Desk, run
from examples.last_month import MONTH_ENDED
from examples.openmoji import drawings, task
from examples.openmoji.split_gains import gains, summary
from examples.service_process import started

BUILD_FILE = ROOT / "examples" / "openmoji" / "byline.toml"
SHOWN = 15


@dataclass(frozen=True)
class Sizes:
    """How much is done."""

    checkpoints: int = 4
    epochs: int = task.EPOCHS
    subsets: int = 40
    events: int = 40
    split: int = 12
    """Events for which the gain of splitting is measured."""
    least_quality: float = 0.1
    """The LDS that the policy asks for, at the lower end of its interval."""


SMOKE = Sizes(checkpoints=3, epochs=1, subsets=4, events=4, split=2, least_quality=-1.0)


def main(
    *,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Made-up drawings and seconds of work; needs no network.")
    ] = False,
    folder: Annotated[Path, typer.Option(help="Where everything goes.")] = task.FOLDER,
) -> None:
    """Draw, train, index, measure, serve, book, pay."""
    sizes, folder = SMOKE if smoke else Sizes(), folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with stage("drawings"):
        if not (folder / drawings.RECORDS).exists():
            (drawings.write_made_up if smoke else drawings.write_openmoji)(folder)
        describe(folder)
    with stage("training"):
        train(folder, sizes)
    build_file = build_file_for(folder)
    with stage("index and quality card"):
        run("build", build_file)
        options = ["--subsets", str(sizes.subsets), "--workers", "2", "--target", "margin"]
        run("evaluate", build_file, "--out", folder / "evaluation", *options)
    data = folder / "accounts"
    with stage("service, events and statement"):
        show_command("serve", folder / "index")
        shutil.rmtree(data, ignore_errors=True)
        month_ended = data / "month-ended"
        os.environ[MONTH_ENDED] = str(month_ended)
        process = started(folder / "index", folder / "service.log", data, module="examples.last_month")
        with process as (url, key):
            desk = Desk(url, key, data)
            book(desk, folder, sizes)
            month_ended.touch()
            pay(desk)
    with stage("verification"):
        run("ledger", "verify", data=data)
    with stage("splitting"):
        attributor = Attributor.open(folder / "index")
        queries = itertools.islice(held_out(folder), sizes.split)
        found = [gain for query in queries for gain in gains(attributor, query)]
        console.print(summary(found))
    console.print("Drawings: OpenMoji, https://openmoji.org, CC BY-SA 4.0, by the authors named above.")


def describe(folder: Path) -> None:
    """Print what the classifier is trained on."""
    _, _, records, groups = task.arrays(folder)
    kept = task.split(records, held_out=False)
    authors = {records[i].author for i in kept}
    console.print(
        f"{len(kept):,} drawings by {len(authors)} authors in {len(groups)} groups; {len(records) - len(kept)} held out"
    )


def train(folder: Path, sizes: Sizes) -> None:
    """Train the classifier from several seeds, unless it was before."""
    images_N, labels_N, records, groups = task.arrays(folder)
    kept, asked = task.split(records, held_out=False), task.split(records, held_out=True)
    for seed in range(sizes.checkpoints):
        path = folder / f"seed-{seed}.safetensors"
        if path.exists():
            continue
        classifier = task.fit(images_N[kept], labels_N[kept], len(groups), seed, sizes.epochs)
        with torch.no_grad():
            right = float((classifier(images_N[asked]).argmax(1) == labels_N[asked]).double().mean())
        save_file(classifier.state_dict(), path)
        console.print(f"seed {seed}: {right:.0%} of the held-out drawings right")


def build_file_for(folder: Path) -> Path:
    """Find the build file; a demo in another folder gets one of its own."""
    if folder == task.FOLDER:
        return BUILD_FILE
    (folder / "task.py").write_text(
        "from pathlib import Path\n\nfrom examples.openmoji.task import task as openmoji\n\n\n"
        "def task():\n    return openmoji(Path(__file__).resolve().parent)\n"
    )
    path = folder / "byline.toml"
    path.write_text(BUILD_FILE.read_text().replace("../../.demo/openmoji/index", "index"))
    return path


def book(desk: Desk, folder: Path, sizes: Sizes) -> None:
    """Book what is predicted for drawings that were held out, in the month before."""
    desk.person("ada", "read", "compensate")
    desk.person("grace", "read", "approve")
    desk.post("root", "/v1/policies", policy(sizes))
    for query in itertools.islice(held_out(folder), sizes.events):
        desk.post("ada", "/v1/indexes/openmoji/events", {"query": query, "target": "margin"})


def pay(desk: Desk) -> None:
    """Pay the pool of that month out to the authors."""
    draft = {"kind": "allocation", "policy": "royalties"}
    run_id = desk.post("ada", "/v1/statement-runs", {"draft": draft})["id"]
    desk.post("grace", f"/v1/statement-runs/{run_id}/approve")
    desk.post("grace", f"/v1/statement-runs/{run_id}/post")
    show(desk.get("ada", f"/v1/statements/{run_id}"))


def policy(sizes: Sizes) -> dict[str, Any]:
    """1,000.00 EUR for the month, with a one-sided confidence of .95."""
    return {
        "name": "royalties",
        "currency": "EUR",
        "pool": 100_000,
        "confidence": 0.95,
        "floor": 200,
        "minimum_quality": {"metric": "lds", "least": sizes.least_quality, "by": "low"},
    }


def held_out(folder: Path) -> "itertools.chain[dict[str, Any]]":
    """Queries without a label, spread over the authors who have drawings held out."""
    images_N, _, records, _ = task.arrays(folder)
    asked = task.split(records, held_out=True)
    order = sorted(asked, key=lambda i: (int(records[i].hexcode.split("-")[0], 16) * 2654435761) % 2**32)
    return itertools.chain({"image": images_N[i].flatten().tolist()} for i in order)


def show(statement: Mapping[str, Any]) -> None:
    """Print a statement: the largest lines, and what all add up to."""
    currency, lines = statement["currency"], statement["lines"]
    console.print(
        f"Statement {statement['id'][:8]}: {statement['events']} events, drafted by {statement['drafted_by']}, "
        + ", ".join(f"{step['step']} by {step['person']}" for step in statement["steps"])
    )
    table = Table(title=f"{currency}, largest shares", box=box.SIMPLE, title_justify="left")
    for name in ("author", "share", "paid now", "carried", "escrow"):
        table.add_column(name, justify="left" if name == "author" else "right")
    pool = statement["totals"]["pool"]
    for line in sorted(lines, key=lambda each: -(each["earned"] + each["escrow"]))[:SHOWN]:
        share = (line["earned"] + line["escrow"]) / pool
        amounts = [plain_amount(line[name], currency) for name in ("payable", "carried", "escrow")]
        table.add_row(Text(line["owner"]), f"{share:.1%}", *amounts)
    console.print(table)
    totals = ", ".join(
        f"{name} {plain_amount(value, currency)}" for name, value in statement["totals"].items()
    )
    console.print(f"{len(lines)} authors have a line. {totals}.")


if __name__ == "__main__":
    typer.run(main)
