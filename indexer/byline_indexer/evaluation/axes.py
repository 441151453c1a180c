"""The variants of a setting along each axis of `byline tune`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal, Self

from torch import nn

from byline.members import Member
from byline.models.network import load_network
from byline.projection.pca import Pca
from byline.recipes import RECIPES, Recipe
from byline.task import Task
from byline_indexer.evaluation.candidates import Candidate
from byline_indexer.evaluation.grid import DAMPINGS, MOST_SINGLE, ROWS, Grid, Masks, Models, Size

TOP_COORDINATES = (512, 2048)
"""Eigen-coordinates that are stored as they are."""
WIDE = 65_536
"""Eigen-coordinates before a PCA."""
PCA_SIZES = (512, 1024, 2048)
MOST_MASKS = 5
"""Masks of each checkpoint that are tried, at most."""
MOST_MEMBERS = 10
"""Checkpoints times masks that are tried, at most, but for two masks of each checkpoint."""
RATES = (0.3, 0.5)
"""Rates of masks. Rate and kind of query decide whether masks help or harm."""
KINDS: tuple[Literal["masked", "whole"], ...] = ("masked", "whole")
POWERS = (0.25, 0.5)
"""Powers of the optimizer's second moment that gradients are divided by: Adam's own geometry, and TrackStar's."""
REFINE = (0, 8)
LEAST_COORDINATES = 1024
"""Coordinates of a mask before a PCA, at least: masks share the room of one model."""


@dataclass(frozen=True)
class Facts:
    """Facts of the Task and the budget that axes depend on."""

    targets: frozenset[str]
    checkpoints: int
    rows: int
    """Training points."""
    parameters: int
    dropout: bool
    """Whether the model has dropout modules, of any rate."""
    moments: bool = False
    """Whether every checkpoint has the optimizer's moments."""
    runs: bool = False
    """Whether every checkpoint has a learning rate and a number of steps."""
    numbers: int | None = None
    """Numbers of a row that the budget has room for. None sets no limit."""

    @classmethod
    def of(cls, task: Task, numbers: int | None = None) -> Self:
        """Read the facts of a Task, whose first checkpoint is loaded."""
        network, saved = load_network(task, Member(0)), task.checkpoints
        return cls(
            targets=frozenset(task.targets),
            checkpoints=len(saved),
            rows=len(task.train_set),
            parameters=sum(each.numel() for each in network.parameters()),
            dropout=any(isinstance(each, nn.modules.dropout._DropoutNd) for each in network.modules()),
            moments=all(each.optimizer_state is not None for each in saved),
            runs=all(each.learning_rate is not None and each.steps is not None for each in saved),
            numbers=numbers,
        )


Axis = Callable[[Candidate, Grid, Facts], Iterable[Candidate | None]]
"""Lists variants of a setting. None stands for changes that do not go together."""


def first_candidate(own: Recipe, grid: Grid, facts: Facts) -> Candidate:
    """Reduce the build file's recipe to one model without masks: what the search begins with.

    Args:
        own: The build file's recipe.
        grid: An axis with values begins with its first one.
        facts: Of the Task.
    """
    models = grid.checkpoints[0] if grid.checkpoints else Models(positions=(facts.checkpoints - 1,))
    masked = _mask_members(grid.masks[0] if grid.masks else Masks())
    members = {"checkpoints": _positions(models, facts), "forward_masks": 0, **masked}
    found = Candidate(own).changed(members=members) or Candidate(own)
    return replace(found, refine=grid.refine[0]) if grid.refine else found


def _mask_members(masks: Masks) -> dict[str, object]:
    return {"masks": masks.count, "mask_rate": masks.rate, "queries": masks.queries}


def recipes(start: Candidate, grid: Grid, facts: Facts) -> Iterator[Candidate | None]:
    """Vary the row, at its defaults and with its own target; where the grid has values, with the first of them.

    Yields:
        Variants.
    """
    for name in grid.rows or dict.fromkeys((start.recipe.name, *ROWS)):
        row = start.recipe if name == start.recipe.name else RECIPES[name]
        members = {**start.recipe.members.model_dump(), "weights": row.members.weights}
        chosen = _at_first_values(replace(start, recipe=row).changed(members=members), grid)
        for signal in grid.signals or (row.train_signal,):
            if chosen is not None and signal in _signals(facts):
                yield with_signal(chosen, signal)


def _at_first_values(row: Candidate | None, grid: Grid) -> Candidate | None:
    """Give a row the first value of the axes of the grid that its parts have."""
    if (
        row is not None
        and (grid.powers or grid.filters)
        and row.recipe.scale.kind in {"none", "second_moment"}
    ):
        row = next(optimizers(row, grid, _NOTHING))
    if row is not None and grid.dampings and hasattr(row.recipe.curvature, "damping"):
        row = row.changed(curvature={"damping": grid.dampings[0]})
    if row is None or not grid.sizes:
        return row
    return next(filter(None, (_sized(row, size) for size in grid.sizes)), row)


_NOTHING = Facts(targets=frozenset(), checkpoints=1, rows=1, parameters=1, dropout=False)


def _signals(facts: Facts) -> frozenset[str]:
    return facts.targets | {"loss"}


def with_signal(candidate: Candidate, signal: str) -> Candidate | None:
    """Differentiate a target on both sides, with the row weight that goes with it."""
    if signal == candidate.recipe.train_signal:
        return candidate
    weight = candidate.recipe.row_weight
    members = {}
    if signal == "margin" and weight == "none":
        weight = "one_minus_p"
    elif signal != "margin" and weight == "one_minus_p":
        weight, members = "none", {"forward_masks": 0}
    return candidate.changed(train_signal=signal, query_target=signal, row_weight=weight, members=members)


def sizes(start: Candidate, grid: Grid, facts: Facts) -> Iterator[Candidate | None]:
    """Vary coordinates and PCA. Sizes that come to the same are taken once.

    Yields:
        Variants.
    """
    seen = set()
    for size in grid.sizes or (_own_size(start.recipe), *_sizes(start.recipe)):
        wide = min(size.coordinates or facts.parameters, facts.parameters)
        kept = wide if size.pca is None else min(size.pca, wide, facts.rows)
        if (wide, kept) not in seen:
            seen.add((wide, kept))
            yield _sized(start, size)


def _own_size(recipe: Recipe) -> Size:
    pca = None if recipe.pca is None else recipe.pca.size
    return Size(coordinates=getattr(recipe.projection, "size", None), pca=pca)


def _sizes(recipe: Recipe) -> list[Size]:
    own = getattr(recipe.projection, "size", None)
    if recipe.projection.kind == "eigenbasis":
        return [
            *(Size(coordinates=each) for each in TOP_COORDINATES),
            *(Size(coordinates=WIDE, pca=each) for each in PCA_SIZES),
        ]
    smaller = [] if own is None else [Size(coordinates=max(1, own // 4))]
    return [*smaller, *(Size(pca=each) for each in PCA_SIZES)]


def _sized(start: Candidate, size: Size) -> Candidate | None:
    changes: dict[str, object] = {}
    if size.coordinates is not None:
        if not hasattr(start.recipe.projection, "size"):
            return None
        changes["projection"] = {**_form(start.recipe, size), "size": size.coordinates}
    return start.changed(**changes, pca=None if size.pca is None else _rotated(start.recipe, size.pca))


def _form(recipe: Recipe, size: Size) -> dict[str, object]:
    """Take the ranks of the table's rows with and without a PCA where a recipe gains or loses one."""
    if recipe.projection.kind != "eigenbasis" or (recipe.pca is None) == (size.pca is None):
        return {}
    return RECIPES["ekfac" if size.pca is None else "ekfac_pca"].projection.model_dump()


def _rotated(recipe: Recipe, size: int) -> dict[str, object]:
    """Set the size of a recipe's PCA; without one, of the PCA of the table's row `ekfac_pca`."""
    pca = recipe.pca or RECIPES["ekfac_pca"].pca or Pca()
    return {**pca.model_dump(), "size": size}


def optimizers(start: Candidate, grid: Grid, facts: Facts) -> Iterator[Candidate | None]:
    """Vary the power of the optimizer's second moment, and the filter of the spectrum.

    Yields:
        Variants. None for rows whose scale is an optimizer's step.
    """
    if start.recipe.scale.kind not in {"none", "second_moment"}:
        return
    powers = grid.powers or ((0.0, *POWERS) if facts.moments else (None,))
    filters = grid.filters or (("damped", "finite_run") if facts.runs else (None,))
    for power, name in product(powers, filters):
        scaled = start if power is None else start.changed(scale=_scale(power))
        filtered = name is not None and hasattr(start.recipe.curvature, "filter")
        yield scaled and (scaled.changed(curvature={"filter": name}) if filtered else scaled)


def _scale(power: float) -> dict[str, object]:
    return {"kind": "second_moment", "power": power} if power else {"kind": "none"}


def dampings(start: Candidate, grid: Grid, _facts: Facts) -> Iterator[Candidate | None]:
    """Vary the damping, if the curvature has one.

    Yields:
        Variants.
    """
    own = getattr(start.recipe.curvature, "damping", None)
    if own is not None and getattr(start.recipe.curvature, "filter", "damped") == "damped":
        for damping in grid.dampings or sorted({*DAMPINGS, own}):
            yield start.changed(curvature={"damping": damping})


def checkpoints(start: Candidate, grid: Grid, facts: Facts) -> Iterator[Candidate | None]:
    """Vary the models: each checkpoint alone, the first half of them, and all.

    Yields:
        Variants; without a PCA also one with the numbers of a single model.
    """
    count = facts.checkpoints
    alone = range(0, count, -(-count // MOST_SINGLE))
    default = [Models(positions=(each,)) for each in alone]
    default += [Models(positions=tuple(range(-(-count // 2)))), Models()]
    for models in grid.checkpoints or default:
        yield from _members(start, {"checkpoints": _positions(models, facts)})


def _positions(models: Models, facts: Facts) -> tuple[int, ...] | None:
    """Name the same checkpoints always alike: None for all."""
    known = models.positions
    return None if known is not None and known == tuple(range(facts.checkpoints)) else known


def masks(start: Candidate, grid: Grid, facts: Facts) -> Iterator[Candidate | None]:
    """Vary masks together with their rate, the kind of query and the target.

    Yields:
        Variants; without a PCA also one with the numbers of a single model.
    """
    tried = grid.masks or (_masks(start.recipe, facts) if facts.dropout else ())
    signals = grid.signals or tuple(name for name in ("loss", "margin") if name in _signals(facts))
    for each in tried:
        for signal in signals if each.count else (start.recipe.train_signal,):
            chosen = with_signal(start, signal)
            yield from () if chosen is None else _members(chosen, _mask_members(each))


def _masks(recipe: Recipe, facts: Facts) -> list[Masks]:
    models = len(recipe.members.model_copy(update={"masks": 0}).members(facts.checkpoints))
    count = min(MOST_MASKS, max(2, MOST_MEMBERS // models))
    found = [Masks(count=count, rate=rate, queries=queries) for rate in RATES for queries in KINDS]
    return [Masks(), *found]


def _members(start: Candidate, members: dict[str, object]) -> Iterator[Candidate | None]:
    changed = start.changed(members=members)
    recipe = start.recipe
    size = getattr(recipe.projection, "size", None)
    count = members.get("masks")
    if (
        changed is not None
        and recipe.pca is not None
        and isinstance(count, int)
        and count > 1
        and size is not None
    ):
        changed = changed.changed(projection={"size": max(LEAST_COORDINATES, size // count)})
    yield changed
    if changed is not None and recipe.pca is None and size is not None and changed != start:
        yield changed.changed(pca=_rotated(recipe, size))


def refinements(start: Candidate, grid: Grid, _facts: Facts) -> Iterator[Candidate]:
    """Vary the steps that solve a query, on one index.

    Yields:
        Variants.
    """
    for steps in grid.refine or REFINE:
        yield replace(start, refine=steps)


def within(candidate: Candidate, facts: Facts) -> Candidate:
    """Rotate a setting with more numbers a row than the budget has room for onto so many."""
    most = facts.numbers
    if most is None or _numbers(candidate.recipe, facts) <= most:
        return candidate
    return candidate.changed(pca=_rotated(candidate.recipe, most)) or candidate


def _numbers(recipe: Recipe, facts: Facts) -> float:
    """Bound the numbers of a row from above, without a build."""
    if recipe.pca is not None:
        return min(recipe.pca.size, facts.rows)
    size = getattr(recipe.projection, "size", None)
    members = len(recipe.members.members(facts.checkpoints))
    return float("inf") if size is None else min(size, facts.parameters) * members


def distinct(candidates: Iterable[Candidate | None], facts: Facts) -> Sequence[Candidate]:
    """Leave out impossible settings and repetitions, and fit the others to the budget."""
    fitted = [within(each, facts) for each in candidates if each is not None]
    return list({each.key: each for each in fitted}.values())
