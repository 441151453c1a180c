"""Targets of a benchmark: printed with the figures, and turned into the exit code of a full run."""

from dataclasses import dataclass, field


@dataclass
class Targets:
    """Figures with their bounds."""

    missed: list[str] = field(default_factory=list)

    def at_least(self, words: str, value: float, bound: float) -> None:
        """Compare a figure with its lower bound."""
        self._note(words, value, bound, "at least", met=value >= bound)

    def at_most(self, words: str, value: float, bound: float) -> None:
        """Compare a figure with its upper bound."""
        self._note(words, value, bound, "at most", met=value <= bound)

    def exit_code(self) -> int:
        """Return 0 if every figure is within its bound, else 1."""
        return 1 if self.missed else 0

    def _note(self, words: str, value: float, bound: float, which: str, *, met: bool) -> None:
        print(f"{'met   ' if met else 'MISSED'}  {words}: {value:.4g}, {which} {bound:g}")
        if not met:
            self.missed.append(words)
