"""Wire documents of parties: the people and companies that owners' labels stand for."""

from typing import Annotated

from pydantic import Field

from byline.api.documents import Body, Document, StoredDocument

Label = Annotated[str, Field(min_length=1, max_length=1000)]
Short = Annotated[str, Field(min_length=1, max_length=300)]
Number = Annotated[str, Field(min_length=1, max_length=60)]


class PartyIdentifiers(StoredDocument):
    """Public identifiers of a party, as they are written without spaces."""

    isni: Number | None = None
    """International Standard Name Identifier (ISO 27729)."""
    orcid: Number | None = None
    """ORCID iD of a researcher."""
    ipi: Number | None = None
    """Interested Parties Information name number of a collecting society."""
    lei: Number | None = None
    """Legal Entity Identifier (ISO 17442)."""


class PartyDetails(StoredDocument):
    """Private details of a party. They can be erased."""

    payee: Short | None = None
    """Legal name that payments go to, if it is another than the party's name."""
    contact: Short | None = None
    """Address for questions and statements."""
    iban: Number | None = None
    """Bank account (ISO 13616)."""


class PartyBody(Body):
    """A party to record. A change is another revision."""

    name: Label
    """Name of the party, which never changes. Owners with this label are this party."""
    aliases: Annotated[list[Label], Field(max_length=100)] = Field(default_factory=list)
    """Other labels of the same owner."""
    identifiers: PartyIdentifiers = PartyIdentifiers()
    """Public identifiers. Their check digits are verified."""
    details: PartyDetails = PartyDetails()
    """Private details."""


class PartyDocument(Document):
    """A party."""

    id: str
    """Id of the party."""
    name: str
    """Name of the party."""
    revision: int
    """Number of the newest revision, from 1."""
    aliases: list[str]
    """Other labels of the same owner."""
    identifiers: PartyIdentifiers
    """Public identifiers."""
    details: PartyDetails | None
    """Private details, as far as the key may see them. Null if there are none, or they are erased."""
    recorded_by: str
    """Person who recorded the revision."""
    recorded_at: str
    """Time of the revision in UTC."""
