"""Parties as the journal has them: public facts in the clear, private details as a salted digest.

    details = SHA-256(salt || canonical JSON of payee, contact and IBAN)

Salt and details lie in a table beside the journal. When they are deleted, the digest tells nothing, and the chain stays
whole.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field
from stdnum import iban, isni, lei
from stdnum.exceptions import ValidationError

from byline.api.parties import PartyDetails, PartyIdentifiers
from byline.api.receipts import Integer
from byline.errors import Conflict, InvalidInput
from byline.index.canonical_json import canonical_json
from byline.names.owner_labels import owner_label
from byline_service.compensation.event import Stored
from byline_service.compensation.restrictions import Restriction

MASKED = "•"
_SHOWN = 4
"""Characters of an IBAN that readers see at its end."""
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Party(Stored):
    """A revision of a party."""

    name: str
    """Name of the party. It is the label of an owner, and never changes."""
    revision: Integer
    """Number of the revision, from 1."""
    aliases: tuple[str, ...]
    """Other labels of the same owner, sorted."""
    identifiers: PartyIdentifiers
    """Public identifiers."""
    details: Digest | None
    """Salted digest of the private details. Null if there are none."""

    @property
    def id(self) -> str:
        """Return the id, which follows from the name."""
        return party_id(self.name)

    @property
    def labels(self) -> tuple[str, ...]:
        """Return every label of the party."""
        return self.name, *self.aliases


class PartyRecorded(Stored):
    """The record of a party, or of a revision."""

    kind: Literal["party"] = "party"
    """Kind of the record."""
    party: Party
    """The revision."""


class PartyErased(Stored):
    """The deletion of a party's private details."""

    kind: Literal["party-erasure"] = "party-erasure"
    """Kind of the record."""
    party: str
    """Id of the party."""


@dataclass
class PartyBook:
    """The parties of a ledger, and who has each label."""

    revisions: dict[str, list[tuple[int, Party]]] = field(default_factory=dict)
    """Id -> sequence of the record and the party, the oldest revision first."""
    labels: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Label -> sequence of the record, and id of the party. A label never moves to another party."""
    erased: dict[str, int] = field(default_factory=dict)
    """Id -> sequence of the last erasure."""

    def add(self, sequence: int, party: Party) -> None:
        """Add a revision.

        Args:
            sequence: Sequence of its record.
            party: The revision.

        Raises:
            InvalidInput: A label or an identifier is not written as the service writes it, or the revisions have a gap.
            Conflict: Another party has one of the labels.
        """
        own = self.revisions.setdefault(party.id, [])
        if party.revision != len(own) + 1:
            raise InvalidInput("the party's revisions are not 1, 2, 3 …")
        if [owner_label(label) for label in party.labels] != list(party.labels):
            raise InvalidInput("a label of the party is not normalized")
        if checked_identifiers(party.identifiers) != party.identifiers:
            raise InvalidInput("an identifier of the party is not normalized")
        for label in party.labels:
            if self.labels.setdefault(label, (sequence, party.id))[1] != party.id:
                raise label_taken()
        own.append((sequence, party))

    def erase(self, sequence: int, party: str) -> None:
        """Note that the details of all revisions so far were deleted.

        Raises:
            InvalidInput: There is no such party.
        """
        if party not in self.revisions:
            raise InvalidInput("the erased party does not exist")
        self.erased[party] = sequence

    def names(self) -> set[str]:
        """Return the names of all parties."""
        return {own[0][1].name for own in self.revisions.values()}

    def payee(self, label: str, basis: int) -> str:
        """Return the name of the party that has a label. The label itself if none has it.

        Args:
            label: Label of an owner.
            basis: Sequence of the last record that counts.
        """
        sequence, party = self.labels.get(label, (basis + 1, ""))
        return label if sequence > basis else self.revisions[party][0][1].name

    def labels_of(self, label: str, basis: int) -> list[str]:
        """Return every label of the party that has a label, sorted. The label alone if none has it.

        Args:
            label: Label of an owner.
            basis: Sequence of the last record that counts.
        """
        sequence, party = self.labels.get(label, (basis + 1, ""))
        if sequence > basis:
            return [label]
        return sorted(each for each, (at, of) in self.labels.items() if of == party and at <= basis)

    def aliases(self, basis: int) -> dict[str, str]:
        """Return the name of the party that has each alias.

        Args:
            basis: Sequence of the last record that counts.
        """
        payees = {label: self.payee(label, basis) for label in self.labels}
        return {label: name for label, name in payees.items() if name != label}


def of_every_label(each: Iterable[Restriction], book: PartyBook, basis: int) -> list[Restriction]:
    """Apply the restrictions of an owner to every label of the owner's party. Those of one work stay with its label.

    Args:
        each: Restrictions.
        book: The parties.
        basis: Sequence of the last record that counts.
    """
    return [
        one.model_copy(update={"subject": one.subject.model_copy(update={"owner": label})})
        for one in each
        for label in (
            book.labels_of(one.subject.owner, basis) if one.subject.work is None else (one.subject.owner,)
        )
    ]


def label_taken() -> Conflict:
    """Return the error for a label of another party."""
    return Conflict("expected labels that no other party has, got one that another has: revise that party")


def party_id(name: str) -> str:
    """Return the id of a party."""
    return hashlib.sha256(b"byline party\n" + name.encode()).hexdigest()[:16]


def required_label(text: str) -> str:
    """Return a normalized label.

    Raises:
        InvalidInput: The label is empty, or has invisible characters.
    """
    label = owner_label(text)
    if label is None:
        raise InvalidInput("expected a label with at least one letter, got spaces")
    return label


def checked_identifiers(given: PartyIdentifiers) -> PartyIdentifiers:
    """Return identifiers without spaces and hyphens, whose check digits are right.

    Raises:
        InvalidInput: One of them is wrong.
    """
    found = {}
    for name, check in _CHECKS.items():
        value = getattr(given, name)
        found[name] = None if value is None else _checked(name, value, check)
    return PartyIdentifiers(**found)


def checked_details(given: PartyDetails) -> PartyDetails | None:
    """Return private details with a right IBAN. None if all of them are empty.

    Raises:
        InvalidInput: The IBAN is wrong.
    """
    account = None if given.iban is None else _checked("iban", given.iban, iban.validate)
    found = given.model_copy(update={"iban": account})
    return None if found == PartyDetails() else found


def details_digest(salt: str, details: PartyDetails) -> str:
    """Return the digest of private details that the journal has.

    Args:
        salt: Random text. Without it nobody can try details out.
        details: The details.
    """
    return hashlib.sha256(salt.encode() + canonical_json(details.model_dump(mode="json"))).hexdigest()


def masked(account: str | None) -> str | None:
    """Return an IBAN of which the country and the last characters can be read."""
    if account is None:
        return None
    return f"{account[:2]}{MASKED * (len(account) - 2 - _SHOWN)}{account[-_SHOWN:]}"


def _checked(name: str, value: str, check: Callable[[str], str]) -> str:
    try:
        return check(value)
    except ValidationError:
        raise InvalidInput(
            f"expected a valid {name.upper()}, got one with a wrong form or check digit"
        ) from None


def _ipi(value: str) -> str:
    """Check an IPI name number: two check digits modulo 101 over nine digits with the weights 10 to 2."""
    digits = value.replace(" ", "").replace(".", "").zfill(11)
    if not (len(digits) == 11 and digits.isascii() and digits.isdigit()):
        raise ValidationError
    weighted = sum(weight * int(digit) for weight, digit in zip(range(10, 1, -1), digits[:9], strict=True))
    if (101 - weighted % 101) % 101 % 100 != int(digits[9:]):
        raise ValidationError
    return digits


def _orcid(value: str) -> str:
    found: str = isni.validate(value.removeprefix("https://orcid.org/"))
    return found


_CHECKS: dict[str, Callable[[str], str]] = {
    "isni": isni.validate,
    "orcid": _orcid,
    "ipi": _ipi,
    "lei": lei.validate,
}
