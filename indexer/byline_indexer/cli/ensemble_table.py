"""Present the answer of `byline plan-ensemble`: a table of sizes, a recommendation, and their assumptions."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from byline.metrics.variance import Choice, Components, choices, recommend_choice
from byline_indexer.pilot import Pilot

_SHOWN = (1, 2, 3, 5, 10, 20, 50)
"""Masks of a checkpoint that the table lists, besides the most that fit."""


@dataclass(frozen=True, kw_only=True)
class Advice:
    """Sizes of an ensemble that a pilot compares."""

    components: Components
    available: int
    """Number of the Task's checkpoints."""
    budget: int
    train_cost: float | None
    choices: tuple[Choice, ...]
    recommended: Choice | None

    def lines(self, pilot: Pilot) -> Iterator[str]:
        """Write the recommendation and its grounds.

        Yields:
            One sentence a line.
        """
        if self.recommended is None:
            yield "Nothing can be recommended: the pilot's members do not differ by anything that could be counted."
        else:
            chosen = self.recommended
            new = max(0, chosen.checkpoints - self.available)
            training = f", {new} of them to be trained" if new else ""
            checkpoints = _counted(chosen.checkpoints, "checkpoints")
            yield (
                f"Recommended: {checkpoints}{training} x {_counted(chosen.masks, pilot.within)}: the cheapest "
                f"within .01 of the best correlation at {self.budget} gradient passes a query."
            )
        if self.components.rho_between is None:
            yield (
                "rho_between is unknown with one checkpoint: the correlation is with endlessly many "
                f"{pilot.within} of this checkpoint, and says nothing about other trainings."
            )
        if self.components.rho_within is None:
            yield "rho_within is unknown: the pilot had one member a checkpoint, so only checkpoints are compared."
        where = "the evaluation set" if pilot.held_out else "training points outside the sample"
        points, asked = pilot.scores_IDQR.shape[3], pilot.scores_IDQR.shape[2]
        yield (
            f"Assumed: checkpoints independently trained and exchangeable, {pilot.within} too within each; curvature "
            f"fitted on the {points:,} sampled points; queries like these {asked} of {where}."
        )
        yield "A correlation with an endless ensemble is not the LDS: `byline evaluate` measures that."


def _counted(number: int, things: str) -> str:
    return f"{number} {things.removesuffix('s') if number == 1 else things}"


def advice(components: Components, available: int, budget: int, train_cost: float | None = None) -> Advice:
    """Compare sizes within a budget.

    Args:
        components: From the pilot.
        available: Checkpoints that the Task has.
        budget: Gradient passes of a query.
        train_cost: Price of one more training. None considers no more than there are.
    """
    most = budget if train_cost is not None else min(available, budget)
    if components.rho_between is None:
        most = 1  # nothing is known of a second one
    found = choices(components, range(1, most + 1), budget, train_cost or 0.0)
    return Advice(
        components=components,
        available=available,
        budget=budget,
        train_cost=train_cost,
        choices=tuple(found),
        recommended=recommend_choice(found),
    )


def ensemble_table(found: Advice) -> Table:
    """Lay out ensemble sizes with their predictions."""
    parts = {
        "s2": found.components.s2,
        "rho_within": found.components.rho_within,
        "rho_between": found.components.rho_between,
    }
    title = ", ".join(
        f"{name} {'unknown' if value is None else f'{value:.3f}'}" for name, value in parts.items()
    )
    table = Table(title=f"Variance of a score: {title}")
    for column in ("checkpoints", "masks", "passes a query", "Var(mean)", "correlation with endless", ""):
        table.add_column(column, justify="right")
    for choice in found.choices:
        most = choice.masks == found.budget // choice.checkpoints
        if choice.masks in _SHOWN or most or choice == found.recommended:
            table.add_row(
                str(choice.checkpoints),
                str(choice.masks),
                str(choice.passes),
                f"{choice.variance:.3f}",
                f"{choice.reliability:.3f}",
                "recommended" if choice == found.recommended else "",
            )
    return table


def facts(pilot: Pilot, found: Advice) -> dict[str, Any]:
    """Give the same facts as JSON."""
    checkpoints, masks, queries, rows = pilot.scores_IDQR.shape
    return {
        "pilot": {"checkpoints": checkpoints, pilot.within: masks, "queries": queries, "rows": rows},
        "components": asdict(found.components),
        "budget": found.budget,
        "train_cost": found.train_cost,
        "choices": [asdict(choice) for choice in found.choices],
        "recommended": None if found.recommended is None else asdict(found.recommended),
        "notes": list(found.lines(pilot)),
    }
