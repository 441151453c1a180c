"""A report of a model's selected parameters, for people and for the manifest."""

from dataclasses import dataclass
from typing import Literal


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
        if self.frozen:
            lines.append(
                f"{_listed(self.frozen)} frozen (requires_grad=False) and left out, since training does not change "
                f"frozen parameters; Task.layers = LayerSelection(frozen=True) attributes them"
            )
        if self.quantized:
            lines.append(
                f"{_listed(self.quantized)} quantized and left out, since integers have no gradient; load the model without "
                f"quantization to attribute them"
            )
        if self.unused:
            lines.append(
                f"{_listed(self.unused)} without a gradient of any training point that was tried; Task.layers excludes "
                f"the module if it is never used"
            )
        return tuple(lines)


def _listed(names: tuple[str, ...]) -> str:
    first = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} parameter{'s are' if len(names) > 1 else ' is'} ({first})"
