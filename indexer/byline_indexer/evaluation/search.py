"""The order in which `byline tune` varies a setting: one axis after another, so that few settings are tried.

The two best kinds of curvature and target begin a branch each, which size and damping are chosen for. The better branch
goes on alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

from byline.errors import InvalidInput
from byline.recipes import Recipe
from byline_indexer.evaluation import axes
from byline_indexer.evaluation.axes import Axis, Facts
from byline_indexer.evaluation.candidates import Candidate
from byline_indexer.evaluation.costs import Budget
from byline_indexer.evaluation.grid import Grid
from byline_indexer.evaluation.trials import Trial

Measure = Callable[[Candidate], Trial | None]


@dataclass(frozen=True)
class Stage:
    """One axis of the search."""

    name: str
    axis: Axis
    kept: int = 1
    """Settings that the next stage begins with, at most: the best of each branch."""


STAGES = (
    Stage("recipe and target", axes.recipes, kept=2),
    Stage("size", axes.sizes, kept=2),
    Stage("optimizer", axes.optimizers, kept=2),
    Stage("damping", axes.dampings),
    Stage("checkpoints", axes.checkpoints),
    Stage("masks", axes.masks),
    Stage("refine", axes.refinements),
)


@dataclass(frozen=True)
class Search:
    """A search for the best setting within a budget."""

    grid: Grid
    facts: Facts
    budget: Budget
    measure: Measure
    announce: Callable[[str], None] = lambda _message: None

    def run(self, own: Recipe) -> list[Trial]:
        """Try the build file's recipe, and then one axis after another.

        Args:
            own: The build file's recipe.

        Returns:
            Every setting that was measured, in the order of the trials. The first is the build file's, if it was measured.

        Raises:
            InvalidInput: No setting could be measured.
        """
        tried: dict[str, Trial | None] = {}
        self._try(tried, "build file", Candidate(own).changed() or Candidate(own))
        branches = [axes.first_candidate(own, self.grid, self.facts)]
        for stage in STAGES:
            found = [trial for branch in branches for trial in self._variants(tried, stage, branch)]
            best: dict[tuple[str, str], Trial] = {}
            for trial in sorted(found, key=self.rank, reverse=True):
                best.setdefault(_branch(trial.candidate.recipe), trial)
            branches = [trial.candidate for trial in list(best.values())[: stage.kept]] or branches
        measured = [trial for trial in tried.values() if trial is not None]
        if not measured:
            raise InvalidInput("expected a setting that fits Task and recipe, got none: widen the grid")
        return measured

    def rank(self, trial: Trial) -> tuple[bool, float]:
        """Order settings: those within the budget by their LDS, then the others by their bytes."""
        allowed = self.budget.allows(trial.cost)
        return allowed, trial.lds if allowed else -trial.cost.row_bytes

    def _variants(self, tried: dict[str, Trial | None], stage: Stage, branch: Candidate) -> list[Trial]:
        """Measure the variants of a setting, which is itself one of those that may go on."""
        variants = axes.distinct(stage.axis(branch, self.grid, self.facts), self.facts)
        found = {each.key: self._try(tried, stage.name, each) for each in variants}
        return [trial for trial in {branch.key: tried.get(branch.key), **found}.values() if trial is not None]

    def _try(self, tried: dict[str, Trial | None], stage: str, candidate: Candidate) -> Trial | None:
        if candidate.key not in tried:
            self.announce(f"candidate {len(tried) + 1}, {stage}: {candidate.text}")
            tried[candidate.key] = self.measure(candidate)
        return tried[candidate.key]


def _branch(recipe: Recipe) -> tuple[str, str]:
    """Name what tells branches apart: the kind of curvature and the target."""
    return recipe.curvature.kind, recipe.train_signal
