"""The result of a collector's checks against autograd, as data: a collector of the same model is made from it unchecked."""

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict

from byline.gradients.capture.trace import Place
from byline.gradients.collector import GradientCollector
from byline.gradients.passes.batch import Separation
from byline.gradients.passes.layouts import Layout, LayoutKind
from byline.gradients.passes.module_gradients import ModuleLayout

LayoutRecord = tuple[int, LayoutKind]
"""Axis and kind of a `Layout`."""


class SeparationRecord(BaseModel):
    """A `Separation`, field by field."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    operations: tuple[tuple[Place, LayoutRecord], ...]
    modules: tuple[tuple[Place, tuple[LayoutRecord, ...], tuple[LayoutRecord, ...]], ...]
    differentiated: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, separation: Separation) -> Self:
        """Take the fields of a separation."""
        return cls(
            operations=tuple((place, _record(layout)) for place, layout in separation.operations.items()),
            modules=tuple(
                (place, tuple(map(_record, each.inputs)), tuple(map(_record, each.outputs)))
                for place, each in separation.modules.items()
            ),
            differentiated={name: tuple(sorted(own)) for name, own in separation.differentiated.items()},
        )

    def separation(self) -> Separation:
        """Make the separation again."""
        return Separation(
            {place: Layout(*layout) for place, layout in self.operations},
            {
                place: ModuleLayout(
                    tuple(Layout(*each) for each in inputs), tuple(Layout(*each) for each in outputs)
                )
                for place, inputs, outputs in self.modules
            },
            {name: frozenset(own) for name, own in self.differentiated.items()},
        )


class CheckRecord(BaseModel):
    """What a checked collector learned of its model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameters: Mapping[str, tuple[int, ...]]
    """Names and shapes of the attributed parameters."""
    separation: SeparationRecord | None
    independent: bool
    notice: str | None
    captures: bool
    copies: bool
    unused: tuple[str, ...]

    @classmethod
    def of(cls, collector: GradientCollector) -> Self:
        """Take what a checked collector learned.

        Args:
            collector: As `byline.models.network.make_collector` returns it.
        """
        known = collector.separation
        return cls(
            parameters=_shapes(collector),
            separation=None if known is None else SeparationRecord.of(known),
            independent=collector.independent,
            notice=collector.notice,
            captures=collector.captures,
            copies=collector.copies,
            unused=collector.unused,
        )

    def fits(self, collector: GradientCollector) -> bool:
        """Tell whether a collector is of the parameters that were checked."""
        return dict(self.parameters) == _shapes(collector)

    def restore(self, collector: GradientCollector) -> None:
        """Hand what was learned to a new collector of the same model."""
        collector.separation = None if self.separation is None else self.separation.separation()
        collector.independent, collector.notice = self.independent, self.notice
        collector.captures, collector.copies = self.captures, self.copies
        collector.unused = self.unused


def _record(layout: Layout) -> LayoutRecord:
    return layout.axis, layout.kind


def _shapes(collector: GradientCollector) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in collector.parameters.items()}
