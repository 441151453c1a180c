"""A collective licence end to end: `make demo-licence`, or `python -m examples.collective_licence.demo`.

A licensee pays a fixed fee for training, and a pool for outputs. The fee is shared equally. Outputs are paid by
attribution, and by analogy (equally) where the attribution is not reliable. One song is taken down and one writer's
claim is disputed, so their amounts wait. The songs are made up.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table
from safetensors.torch import save_file

from byline_service.pages.formats import plain_amount
from examples.collective_licence import task
from examples.demo import ROOT, console, show_command, stage
from examples.desk import Desk, run
from examples.last_month import MONTH_ENDED
from examples.service_process import started

FOLDER = ROOT / ".demo" / "licence"
CHECKPOINTS = 4
TRAINING = {
    "name": "training",
    "currency": "EUR",
    "pool": 60_000,
    "basis": "training",
    "fallback": "equal",
    "indexes": ["songs"],
}
OUTPUTS = {
    "name": "outputs",
    "currency": "EUR",
    "pool": 140_000,
    "indexes": ["songs"],
    "targets": ["logit", "margin"],
    "minimum_quality": {"metric": "lds", "least": -1.0},
    "fallback": "equal",
}
"""The target `logit` is not measured, so its events are paid by analogy."""


def main(folder: Annotated[Path, typer.Option(help="Folder of all files.")] = FOLDER) -> None:
    """Train, index, measure, serve, book, and pay the licence of a month."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "accounts"
    if data.exists():
        raise SystemExit(f"expected a folder without accounts, got {folder}: remove it, or name another one")
    with stage("index and quality card"):
        build_file = prepare(folder)
        run("build", build_file)
        options = ["--subsets", "4", "--workers", "1", "--target", "margin"]
        run("evaluate", build_file, "--out", folder / "evaluation", *options)
    with stage("a month of the licence"):
        show_command("serve", folder / "index")
        month_ended = data / "month-ended"
        os.environ[MONTH_ENDED] = str(month_ended)
        with started(folder / "index", folder / "service.log", data, module="examples.last_month") as (
            url,
            key,
        ):
            desk = Desk(url, key, data)
            use(desk)
            month_ended.touch()
            pay(desk)
    with stage("verification"):
        run("ledger", "verify", data=data)


def prepare(folder: Path) -> Path:
    """Train the classifiers, and write the files of the build."""
    features_N, labels_N, _ = task.songs()
    kept = len(labels_N) - task.HELD_OUT
    for seed in range(CHECKPOINTS):
        classifier = task.fit(features_N[:kept], labels_N[:kept], seed)
        save_file(classifier.state_dict(), folder / f"seed-{seed}.safetensors")
    (folder / "task.py").write_text(
        "from pathlib import Path\n\nfrom examples.collective_licence.task import task as songs\n\n\n"
        "def task():\n    return songs(Path(__file__).resolve().parent)\n"
    )
    path = folder / "byline.toml"
    path.write_text('task = "task.py:task"\n\n[recipe]\nname = "ekfac"\n\n[index]\npath = "index"\n')
    return path


def use(desk: Desk) -> None:
    """Agree on the licence, and book outputs of the month."""
    desk.person("ada", "read", "compensate")
    desk.person("grace", "read", "approve")
    for policy in (TRAINING, OUTPUTS):
        desk.post("root", "/v1/policies", policy)
    desk.post("ada", "/v1/indexes/songs/rosters")
    features_N, _, _ = task.songs()
    for number, features in enumerate(features_N[-task.HELD_OUT :].tolist()):
        target = "logit" if number % 4 == 3 else "margin"
        desk.post("ada", "/v1/indexes/songs/events", {"query": {"features": features}, "target": target})


def pay(desk: Desk) -> None:
    """Pay both pools of the month, and the disputed amounts after the dispute."""
    hold = {"subject": {"owner": "Birch"}, "nature": "dispute", "reason": "an heir claims the songs"}
    hold_id = desk.post("ada", "/v1/holds", hold)["id"]
    takedown = {
        "owner": "Fir",
        "index": "songs",
        "work": "song-85",
        "status": "prohibited",
        "since": "2020-01-01T00:00:00Z",
        "source": "a letter of the writer",
    }
    desk.post("ada", "/v1/consents", {"consents": [takedown]})
    for policy in ("training", "outputs"):
        show(desk.get("ada", f"/v1/statements/{posted(desk, {'kind': 'allocation', 'policy': policy})}"))
    desk.post("grace", f"/v1/holds/{hold_id}/end", {"reason": "the heir and the publisher agreed"})
    for policy in ("training", "outputs"):
        release = {"kind": "release", "account": "held", "policy": policy, "reason": "the dispute is settled"}
        show(desk.get("ada", f"/v1/statements/{posted(desk, release)}"))


def posted(desk: Desk, draft: Mapping[str, Any]) -> str:
    """Draft a run by one person, and have another one approve and post it."""
    run_id: str = desk.post("ada", "/v1/statement-runs", {"draft": draft})["id"]
    for step in ("approve", "post"):
        desk.post("grace", f"/v1/statement-runs/{run_id}/{step}")
    return run_id


def show(statement: Mapping[str, Any]) -> None:
    """Print the lines and the warnings of a statement."""
    currency = statement["currency"]
    title = f"{statement['policy']}, {statement['kind']}: {statement['events']} events, {currency}"
    table = Table(title=title, box=box.SIMPLE, title_justify="left")
    columns = ("payable", "held", "escrow")
    for name in ("writer", *columns):
        table.add_column(name, justify="left" if name == "writer" else "right")
    for line in statement["lines"]:
        table.add_row(line["owner"], *(plain_amount(line[name], currency) for name in columns))
    console.print(table)
    for warning in statement["warnings"]:
        console.print(f"  {warning['text']}")


if __name__ == "__main__":
    typer.run(main)
