"""Every error that Byline raises on purpose, one class for each decision a caller can take.

```
BylineError
├── InvalidInput              what was passed in is wrong: correct it and call again
│   ├── InvalidTask           the Task, its file or its data
│   ├── InvalidRecipe         the recipe or a combination of its parts
│   ├── InvalidQuery          a query, gradient, feature or filter
│   ├── InputTooLarge         more bytes, rows or tokens than the limit that the message names
│   ├── NotPayable            no policy could pay for an answer, or for any event of a period; `reasons` says why
│   └── ReusedKey             an idempotency key came again with another request
├── UnsupportedModel          the model cannot be attributed exactly: the message names the module and the way out
├── NonFiniteGradient         a gradient is NaN or infinite: look at the example or the checkpoint
├── NotFound                  no index, version, example or group of that name
├── UnusableIndex             an index on disk cannot be used
│   ├── CorruptIndex          bytes differ from the manifest: restore or rebuild
│   ├── IncompatibleIndex     written by another format version: rebuild or use the other release
│   └── StaleIndex            the Task's source or weights changed since the build: rebuild
├── BuildFailed               a task of a build failed; what is finished is kept and the build resumes
├── Overloaded                no room now: try again later
├── DeadlineExceeded          the caller's time was up before the answer
├── Unauthorized              who asks is not known: send a valid key
├── Forbidden                 who asks may not do that: another scope, or another owner
├── Conflict                  something else happened first: read again, then decide
│   ├── StaleAlias            an alias was changed since its ETag was read
│   └── InProgress            the first request with this idempotency key is not finished: ask again in a moment
├── QuotaExceeded             the caller's own quota is used up: wait for the seconds that it names
├── DatabaseUnavailable       the database does not answer, or is not migrated: try again later
└── DiskFull                  no room on the disk; nothing was written
```

Messages say what was expected, what came (type, shape, length; never content) and what to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class BylineError(Exception):
    """The root of every error that Byline raises on purpose."""


class InvalidInput(BylineError, ValueError):
    """An input is wrong: correct it and call again."""


class InvalidTask(InvalidInput):
    """The Task, the file that declares it, or its data is wrong."""


class InvalidRecipe(InvalidInput):
    """The recipe, or a combination of its parts, makes no sense."""


@dataclass(frozen=True)
class Fault:
    """A wrong part of an input."""

    pointer: str
    """JSON Pointer of the part in the input. Empty for the input as a whole."""
    detail: str
    """Reason, without content."""

    def under(self, old: str, new: str) -> "Fault":
        """Return the fault of an input that is part of another one.

        Args:
            old: Pointer of the input where it is alone. A fault outside of it keeps its whole pointer.
            new: Pointer of the input in the other one.
        """
        inside = self.pointer == old or self.pointer.startswith(f"{old}/")
        return Fault(new + (self.pointer.removeprefix(old) if inside else self.pointer), self.detail)


class InvalidQuery(InvalidInput):
    """A query, gradient, feature or filter is wrong.

    Args:
        message: What was expected, what came, and what to do.
        faults: Wrong parts of the input, where they are known.
    """

    def __init__(self, message: str = "", faults: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)


class InputTooLarge(InvalidInput):
    """More bytes, rows or tokens came than the limit that the message names."""


class NotPayable(InvalidInput):
    """No policy could pay for an answer, or for any event of a period.

    Args:
        message: The reasons in words.
        reasons: The reasons as codes, such as `no_interval`.
    """

    def __init__(self, message: str, reasons: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.reasons = tuple(reasons)


class ReusedKey(InvalidInput):
    """An idempotency key came again with another request."""


class UnsupportedModel(BylineError):
    """The model cannot be attributed exactly. The message names the module and the way out."""


class NonFiniteGradient(BylineError):
    """A gradient is NaN or infinite."""


class NotFound(BylineError, LookupError):
    """There is no index, version, example or group of that name."""


class UnusableIndex(BylineError):
    """An index on disk cannot be used."""


class CorruptIndex(UnusableIndex):
    """The bytes on disk are not those that the manifest promises: restore or rebuild."""


class IncompatibleIndex(UnusableIndex):
    """The index was written by another version of the format."""


class StaleIndex(UnusableIndex):
    """The Task's source or its weights are not those that the index was built from.

    The training data is not read again: a build of changed data gives another version.
    """


class BuildFailed(BylineError):
    """A task of a build failed. Finished tasks are kept and the build can be resumed."""


class Overloaded(BylineError):
    """There is no room for this request now: try again later."""


class DeadlineExceeded(BylineError):
    """The caller's time was up before the answer was there."""


class Unauthorized(BylineError):
    """The caller is unknown: no key came, or an invalid one."""


class Forbidden(BylineError):
    """The caller is known, and lacks the permission."""


class Conflict(BylineError):
    """Something else happened first, or is happening now."""


class StaleAlias(Conflict):
    """An alias was changed since its ETag was read."""


class InProgress(Conflict):
    """The first request with this idempotency key is not finished."""


class QuotaExceeded(BylineError):
    """The caller's own quota is used up.

    Args:
        message: Which quota, and what it allows.
        retry_after: Seconds until there is some again.
    """

    def __init__(self, message: str, retry_after: int = 60) -> None:
        super().__init__(message)
        self.retry_after: float | None = retry_after


class DatabaseUnavailable(BylineError):
    """The database does not answer, or was not migrated."""


class DiskFull(BylineError):
    """The disk is full. The result was not written."""
