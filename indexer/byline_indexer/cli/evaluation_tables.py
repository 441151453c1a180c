"""What people are shown of a measurement."""

from rich.table import Table

from byline.index.quality_card import Measurement, figure
from byline_indexer.cli.tables import plain
from byline_indexer.evaluation.tune import Tuned


def measurement_table(found: Measurement) -> Table:
    """One measurement with its protocol."""
    protocol = found.protocol
    table = Table("what", "value", title=plain(found.text), title_justify="left")
    rows = {
        found.title: f"{found.value:.3f}",
        "95 % interval": None if found.interval is None else "{:.3f} to {:.3f}".format(*found.interval),
        "noise ceiling": None if found.ceiling is None else figure(found.ceiling),
        **{name.replace("_", " "): f"{value:.3f}" for name, value in found.further.items()},
        "attributed": protocol.target,
        "f of the retrained models": "minus the loss" if protocol.output == "loss" else protocol.output,
        "queries": _count(protocol.queries),
        "dropped, constant truth": _count(protocol.dropped or None),
        "set apart for tuning": _count(protocol.tuned_on or None),
        "subsets x seeds": None if protocol.subsets is None else f"{protocol.subsets} x {protocol.seeds}",
        "share kept": None if protocol.alpha is None else f"{protocol.alpha:g}",
        "wrong labels": _count(protocol.wrong_labels),
        "truth": protocol.truth if protocol.wrong_labels is None else None,
    }
    for name, value in rows.items():
        if value is not None:
            table.add_row(name, plain(value))
    return table


def tuning_table(tuned: Tuned) -> Table:
    """Every candidate, the best one marked."""
    table = Table(
        "target", "damping", "size", "LDS", "95 % interval", "", title=f"{tuned.queries} tuning queries"
    )
    for each in tuned.tried:
        chosen = each.candidate
        table.add_row(
            chosen.signal,
            "" if chosen.damping is None else f"{chosen.damping:g}",
            "" if chosen.size is None else f"{chosen.size:,}",
            f"{each.lds:.3f}",
            "" if each.interval is None else f"{each.interval.low:.3f} to {each.interval.high:.3f}",
            "best" if each is tuned.best else "",
        )
    return table


def _count(number: int | None) -> str | None:
    return None if number is None else f"{number:,}"
