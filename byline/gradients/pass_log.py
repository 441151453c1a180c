"""Notes what passes meet after a model was checked: parameters that a rare example uses, batches that cannot be cut."""

from collections.abc import Sequence
from dataclasses import dataclass

from byline.gradients.outer_products.blocks import Block
from byline.gradients.outer_products.factors import BatchGradients, KroneckerGradient


@dataclass(frozen=True, kw_only=True)
class PassReport:
    """Report of some passes."""

    reached: tuple[str, ...] = ()
    """Parameters that no probed example has a gradient of, and an example of these passes has."""
    taken_apart: int = 0
    """Batches whose examples were differentiated one at a time although one pass serves the batches that were probed."""
    reason: str | None = None
    """Why the first of these batches was taken apart. The message names the module."""


NOTHING_MET = PassReport()
"""The report of passes that met nothing new, and of units without a pass."""


class PassLog:
    """Collects a report until it is read."""

    def __init__(self) -> None:
        self._reached: set[str] = set()
        self._taken_apart, self._reason = 0, ""

    def note_gradients(self, found: BatchGradients, unused: Sequence[str], blocks: Sequence[Block]) -> None:
        """Note which of the unused parameters have a gradient now.

        Args:
            found: Gradients of a batch.
            unused: Parameters that no probed example has a gradient of: usually none, and then nothing is computed.
            blocks: The blocks of the gradients.
        """
        waiting = set(unused) - self._reached
        for block in blocks if waiting else ():
            own = waiting.intersection(block.parameters)
            if own and _is_nonzero(found.blocks[block.name]):
                self._reached |= own

    def note_batch(self, reason: str) -> None:
        """Note that a batch was taken apart."""
        self._taken_apart += 1
        self._reason = self._reason or reason

    def read(self) -> PassReport:
        """Report what was noted since the last reading, and forget it."""
        report = PassReport(
            reached=tuple(sorted(self._reached)), taken_apart=self._taken_apart, reason=self._reason or None
        )
        self._reached, self._taken_apart, self._reason = set(), 0, ""
        return report


def _is_nonzero(gradient: KroneckerGradient) -> bool:
    return any(bool((use.left.nonzero() & use.right.nonzero()).any()) for use in gradient.uses)
