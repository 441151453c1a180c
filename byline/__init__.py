"""Byline tells which training examples made a model predict what it did, and what each of their owners is due.

`build` makes an index of a training set, `open` opens it, and `Attributor.attribute` asks it. `attribute` scores a
training set in one call, without an index. `Client` asks a Byline service. Names are loaded when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from byline.version import __version__ as __version__

if TYPE_CHECKING:
    from byline import curvature, errors, gradients, metrics, projection, tasks
    from byline.api.answer import Answer, Shares
    from byline.api.answer_parts import Attribution
    from byline.api.example import Example
    from byline.api.quality_card import QualityCard
    from byline.attribution.attributor import Attributor
    from byline.attribution.request import AttributionRequest
    from byline.client import AsyncClient, Client
    from byline.entry_points import attribute, build, open  # noqa: A004 - byline.open is its name
    from byline.errors import BylineError, InvalidInput, NotFound, UnsupportedModel, UnusableIndex
    from byline.recipes import RECIPES, Recipe, recipe
    from byline.recording import TrainingRecorder
    from byline.task import (
        Checkpoint,
        LayerSelection,
        Outputs,
        ParsedQuery,
        Positions,
        Prediction,
        QueryInterface,
        Task,
    )
    from byline_indexer.build.index import BuildOptions

__all__ = [
    "RECIPES",
    "Answer",
    "AsyncClient",
    "Attribution",
    "AttributionRequest",
    "Attributor",
    "BuildOptions",
    "BylineError",
    "Checkpoint",
    "Client",
    "Example",
    "InvalidInput",
    "LayerSelection",
    "NotFound",
    "Outputs",
    "ParsedQuery",
    "Positions",
    "Prediction",
    "QualityCard",
    "QueryInterface",
    "Recipe",
    "Shares",
    "Task",
    "TrainingRecorder",
    "UnsupportedModel",
    "UnusableIndex",
    "attribute",
    "build",
    "curvature",
    "errors",
    "gradients",
    "metrics",
    "open",
    "projection",
    "recipe",
    "tasks",
]

_HOMES = {
    "byline.api.answer": ("Answer", "Shares"),
    "byline.api.answer_parts": ("Attribution",),
    "byline.api.example": ("Example",),
    "byline.api.quality_card": ("QualityCard",),
    "byline.attribution.attributor": ("Attributor",),
    "byline.attribution.request": ("AttributionRequest",),
    "byline.client": ("AsyncClient", "Client"),
    "byline.entry_points": ("attribute", "build", "open"),
    "byline.errors": ("BylineError", "InvalidInput", "NotFound", "UnsupportedModel", "UnusableIndex"),
    "byline.recipes": ("RECIPES", "Recipe", "recipe"),
    "byline.recording": ("TrainingRecorder",),
    "byline.task": (
        "Checkpoint",
        "LayerSelection",
        "Outputs",
        "ParsedQuery",
        "Positions",
        "Prediction",
        "QueryInterface",
        "Task",
    ),
    "byline_indexer.build.index": ("BuildOptions",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        found = getattr(import_module(_HOME_OF[name]), name)
    elif name in __all__:
        found = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(
            f"module 'byline' has no attribute {name!r}: byline.__all__ lists the public names"
        )
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
