"""A report of a model's selected parameters, for people and for the manifest."""

from dataclasses import dataclass
from typing import Literal

_BELOW = ".base_layer."
"""Stands in the names of a module's own parameters where peft put an adapter around it."""


@dataclass(frozen=True, kw_only=True)
class ParameterReport:
    """A model's selected parameters, sorted, and how their gradients are taken."""

    attributed: tuple[str, ...]
    """Parameters that a probed training point has a gradient of."""
    unused: tuple[str, ...] = ()
    """Attributed parameters that no probed training point has a gradient of: their gradients are zero until one does."""
    frozen: tuple[str, ...] = ()
    """Parameters with `requires_grad=False`: training does not change them, so they are left out."""
    quantized: tuple[str, ...] = ()
    """Parameters that hold the integers of a quantized weight: they have no gradient, so they are left out."""
    precision: tuple[str, ...] = ()
    """Number types of the attributed parameters while passes run, such as `float32`."""
    passes: Literal["batch", "example"] = "batch"
    """`batch` where one pass serves a batch of examples, `example` where each example has a pass of its own."""
    reason: str | None = None
    """Why each example has a pass of its own."""

    def notices(self) -> tuple[str, ...]:
        """List notices for people before a build, a line each."""
        lines = []
        if self.reason is not None:
            lines.append(self.reason)
        frozen, quantized = self._by_hand(self.frozen), self._by_hand(self.quantized)
        if frozen:
            lines.append(
                f"{_listed(frozen)} frozen (requires_grad=False) and left out, since training does not change "
                f"frozen parameters; Task.layers = LayerSelection(frozen=True) attributes them"
            )
        if quantized:
            lines.append(
                f"{_listed(quantized)} quantized and left out, since integers have no gradient; load the model without "
                f"quantization to attribute them"
            )
        if self.unused:
            lines.append(
                f"{_listed(self.unused)} without a gradient of any training point that was tried; Task.layers excludes "
                f"the module if it is never used"
            )
        return tuple(lines)

    def _by_hand(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Leave out what peft freezes below an adapter: all but the adapter's own, which lie beside a `base_layer`."""
        left_out = (*self.frozen, *self.quantized)
        adapted = {name.partition(_BELOW)[0] for name in left_out if _BELOW in name}
        if not adapted:
            return names
        beside = (name for name in names if _BELOW not in name)
        return tuple(name for name in beside if any(name.startswith(f"{module}.") for module in adapted))


def _listed(names: tuple[str, ...]) -> str:
    first = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} parameter{'s are' if len(names) > 1 else ' is'} ({first})"
