"""How the demo shows an answer of the service."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

SHOWN_OWNERS = 5
PREVIEW = 52
LICENSE = 14
OWNER = 20


def show_answer(console: Console, prompt: str, source: str, answer: Mapping[str, Any]) -> None:
    """Print what the model predicted, who made it do so, and each owner's share.

    Args:
        console: Where to.
        prompt: What the model was shown.
        source: Where the prompt is from.
        answer: The service's, to a query with `shares`.
    """
    prediction = answer["prediction"]
    text = Text(prompt, style="dim")
    text.append(prediction["completion"], style="bold black on yellow")
    title = f"held out: {source}"
    subtitle = (
        f"predicted {prediction['tokens']} tokens, each with probability "
        f"{prediction['token_probability']:.2f} on average"
    )
    console.print(Panel(text, title=title, subtitle=subtitle, title_align="left"))
    console.print(Group(_influencers(answer), _shares(answer["shares"])))


def _influencers(answer: Mapping[str, Any]) -> Table:
    table = Table(title="Most influential training chunks", box=box.SIMPLE, title_justify="left")
    table.add_column("#", justify="right", no_wrap=True, min_width=2)
    table.add_column("score (95 %)", justify="right", no_wrap=True, min_width=22)
    for name in ("owner", "license", "training chunk"):
        table.add_column(name, overflow="ellipsis", no_wrap=True)
    for hit in answer["proponents"]:
        example = hit["example"]
        table.add_row(
            str(hit["rank"]),
            with_interval(hit["score"], hit["interval"]),
            Text(short(example["owner"] or "", OWNER)),
            Text(short(example["license"] or "", LICENSE)),
            _chunk(example),
        )
    return table


def _chunk(example: Mapping[str, Any]) -> Text:
    place = f"{example['uri'].split('#')[-1]} from {example['attributes']['start']:,}"
    preview = short(" ".join(example["preview"].split()), PREVIEW)
    return Text(f"{short(place, PREVIEW)}\n").append(preview, style="dim")


def _shares(shares: Mapping[str, Any]) -> Table:
    table = Table(title="Each owner's share", box=box.SIMPLE, title_justify="left")
    for name in ("owner", "share (95 %)", "score (95 %)", "chunks"):
        table.add_column(name, justify="left" if name == "owner" else "right")
    owners = shares["owners"]
    for owner in owners[:SHOWN_OWNERS]:
        table.add_row(
            Text(owner["owner"]),
            with_interval(owner["share"], owner["share_interval"], percent=True),
            with_interval(owner["score"], owner["interval"]),
            str(owner["examples"]),
        )
    others = shares.get("others") or {"owners": 0, "share": 0.0}
    if (more := len(owners) - SHOWN_OWNERS + others["owners"]) > 0:
        rest = sum(owner["share"] or 0.0 for owner in owners[SHOWN_OWNERS:]) + (others["share"] or 0.0)
        table.add_row(f"{more} others", f"{rest:.1%}", "", "", style="dim")
    return table


def with_interval(value: float | None, interval: tuple[float, float] | None, *, percent: bool = False) -> str:
    """Write a number with its 95 % interval."""
    if value is None:
        return "-"
    scale, unit = (100, " %") if percent else (1, "")
    digits = 1 if percent else _digits(value)
    written = f"{value * scale:.{digits}f}{unit}"
    if interval is None:
        return written
    low, high = (f"{end * scale:.{digits}f}" for end in interval)
    return f"{written} ({low} to {high})"


def short(text: str, length: int) -> str:
    """Cut a text to a length."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _digits(value: float) -> int:
    return 0 if abs(value) >= 100 else 2 if abs(value) >= 1 else 4
