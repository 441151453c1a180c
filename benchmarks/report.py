"""What a benchmark must reach: printed with the figures, and the exit code of a full run."""

from dataclasses import dataclass, field


@dataclass
class Targets:
    """Collects figures and the bounds that they are held to."""

    missed: list[str] = field(default_factory=list)

    def at_least(self, words: str, value: float, bound: float) -> None:
        """Hold a figure that should be large."""
        self._note(words, value, bound, "at least", met=value >= bound)

    def at_most(self, words: str, value: float, bound: float) -> None:
        """Hold a figure that should be small."""
        self._note(words, value, bound, "at most", met=value <= bound)

    def exit_code(self) -> int:
        """0 if every figure is within its bound."""
        return 1 if self.missed else 0

    def _note(self, words: str, value: float, bound: float, which: str, *, met: bool) -> None:
        print(f"{'met   ' if met else 'MISSED'}  {words}: {value:.4g}, {which} {bound:g}")
        if not met:
            self.missed.append(words)
