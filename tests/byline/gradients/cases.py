"""What the test bed is made of: a kind of model, in one form, and what should come of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tests.byline.gradients.exactness import Subject, Verdict

Expected = Literal["exact", "refused", "either"]


@dataclass(frozen=True, kw_only=True)
class ModelCase:
    """One model: a row of the table in docs/tasks.md has one or several of them."""

    kind: str
    """A module class, a family or a structure: the row."""
    form: str
    """How it comes in this case."""
    subject: Callable[[], Subject]
    expected: Expected = "exact"
    """`refused`: there is no gradient of one example, or none that Byline takes; `either`: refused or exact."""
    reason: str = ""
    """Why it is, or may be, refused."""

    @property
    def name(self) -> str:
        """Names the case in the output of pytest."""
        return f"{self.kind}: {self.form}"


def fault(case: ModelCase, verdict: Verdict) -> str:
    """What is wrong with a verdict; nothing if it is as it should be."""
    expected = {"exact": {"exact"}, "refused": {"refused"}, "either": {"exact", "refused"}}[case.expected]
    if verdict.outcome in expected:
        return ""
    return f"expected {case.expected}, got {verdict.outcome} (error {verdict.error:.1e}): {verdict.words}"
