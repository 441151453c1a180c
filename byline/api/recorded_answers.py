"""Wire documents of recorded answers: an answer as it was given, under an address of its own."""

from datetime import datetime

from pydantic import JsonValue

from byline.api.attributions import AttributionBody
from byline.api.documents import Body, Document


class RecordBody(Body):
    """A question whose answer is recorded."""

    question: AttributionBody
    """Question with its options. A batch of `queries` cannot be recorded."""
    shared: bool = False
    """Whether every key with the scope `read` that sees all owners may read the answer. Otherwise only the person who
    asked and admins may."""


class RecordedAnswer(Document):
    """An answer as it was given."""

    id: str
    """Id of the answer. Its page is `/answers/{id}`."""
    index: str
    """Name of the index that answered."""
    version: str
    """Version that answered. The index may serve another version now."""
    person: str
    """Person who asked."""
    shared: bool
    """Whether every reader of the index may read the answer."""
    recorded_at: datetime
    """Time of the answer in UTC."""
    expires_at: datetime
    """Time after which the service deletes the answer."""
    question: dict[str, JsonValue]
    """Question with the options that were sent."""
    answer: dict[str, JsonValue]
    """Answer as it was given."""
