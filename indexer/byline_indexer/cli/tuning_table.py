"""Lay out the settings that `byline tune` tried, and say which to use."""

from rich.table import Table

from byline.api.quality_card import BASELINE_TITLES, BaselineFigure
from byline_indexer.cli.tables import plain, size
from byline_indexer.evaluation.trials import Trial
from byline_indexer.evaluation.tune import Tuned


def tuning_table(tuned: Tuned) -> Table:
    """Lay out the settings that no other one beats in LDS, bytes and time; and the build file's."""
    table = Table(title=f"LDS on {tuned.queries} tuning queries, by bytes and time")
    table.add_column("setting")
    for name in ("LDS", "bytes a row", "index", "ms a query"):
        table.add_column(name, justify="right")
    table.add_column("")
    shown = tuned.pareto
    for trial in shown:
        table.add_row(*_cells(trial, "best" if trial is tuned.best else ""))
    extra = {"best": tuned.best, "build file": tuned.tried[0]}
    for mark, trial in extra.items():
        if trial not in shown:
            table.add_row(*_cells(trial, mark), style="dim")
            shown.append(trial)
    others = len(tuned.tried) - len(shown)
    table.caption = f"{others} other settings are beaten in LDS, bytes and time. The report lists them."
    return table


def _cells(trial: Trial, mark: str) -> tuple[str, ...]:
    cost = trial.cost
    numbers = f"{trial.lds:.3f}", f"{cost.row_bytes:,.0f}", size(cost.total_bytes), f"{cost.milliseconds:.1f}"
    return plain(trial.candidate.text).plain, *numbers, mark


def rival_lines(tuned: Tuned) -> list[str]:
    """Say whether gradients tell more than baselines."""
    return [_rival(BASELINE_TITLES.get(name, name), figure) for name, figure in tuned.rivals.items()]


def _rival(title: str, found: BaselineFigure) -> str:
    lead = (
        ""
        if found.lead is None
        else f", lead of gradients {found.lead[0]:+.3f} to {found.lead[1]:+.3f} (95 %)"
    )
    known = f"LDS {found.value:.3f}{lead}"
    if found.exceeded:
        return f"Gradients are better than {title} here: its {known}."
    return f"{title[:1].upper()}{title[1:]} is as good as gradients here, and costs none: its {known}."


def chosen_lines(tuned: Tuned) -> list[str]:
    """Give the lines that choose the best setting."""
    best = tuned.best
    interval = tuned.interval
    spread = "" if interval is None else f" ({interval.low:.3f} to {interval.high:.3f})"
    lines = []
    if not tuned.within:
        lines.append("No setting is within the budget. The one with the fewest bytes a row is below.")
    lines += [f"the best of these, LDS {best.lds:.3f}{spread}, in the build file:", "", best.candidate.toml()]
    if best.candidate.refine:
        lines += ["", f"and with each query: --refine {best.candidate.refine}"]
    if best.candidate.blend is not None:
        lines += ["", "and with each query: --baseline blend"]
    return lines
