"""The one envelope of every list."""

from collections.abc import Sequence
from typing import Any, Generic, Self, TypeVar

from byline.api.documents import Document

T = TypeVar("T")


class Page(Document, Generic[T]):
    """A page of a list."""

    data: list[T]
    """Entries of this page, in the order of the list. At most `limit`."""
    next: str | None
    """Value of `after` for the next page. Null on the last page."""
    has_more: bool
    """Whether another page follows. True exactly if `next` is not null."""

    @classmethod
    def of(cls, entries: Sequence[T], following: str | None = None) -> Self:
        """Make a page.

        Args:
            entries: Entries of the page.
            following: Cursor of the next page. None if this is the last one.
        """
        return cls(data=list(entries), next=following, has_more=following is not None)

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Name the page after its entries, such as `KeyInfoPage`.

        Args:
            params: Class of the entries.
        """
        return f"{params[0].__name__}Page" if isinstance(params[0], type) else cls.__name__
