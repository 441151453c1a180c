"""The two bases of wire documents: request bodies and answers."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Word = Annotated[str, Field(max_length=1000)]
Words = Annotated[list[Word], Field(min_length=1, max_length=100)]
Payload = dict[str, Any]


class Body(BaseModel):
    """A request body. Unknown fields and other types of JSON values are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class Document(BaseModel):
    """An answer. Its numbers are finite."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class StoredDocument(Document):
    """An answer that repeats a document of the ledger. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")
