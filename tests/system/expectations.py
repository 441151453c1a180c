"""Expectations of a run against a real process: counted, printed, and turned into an exit code."""


class Expectations:
    """Counts that must be zero, and counts that must be reached."""

    def __init__(self) -> None:
        self._failed = False

    def none(self, words: str, count: float) -> None:
        """Expect that nothing of a kind was found."""
        self._note(words, count, "expected none", met=count <= 0)

    def at_least(self, words: str, count: int, bound: int) -> None:
        """Expect that a run did enough to show anything."""
        self._note(words, count, f"expected at least {bound}", met=count >= bound)

    def exit_code(self) -> int:
        """Return 0 if every expectation is met, else 1."""
        return int(self._failed)

    def _note(self, words: str, count: float, wanted: str, *, met: bool) -> None:
        print(f"{'met   ' if met else 'MISSED'}  {words}: {count:g}, {wanted}")
        self._failed |= not met
