"""The quality card: what was measured about an index, in a file beside its version.

An index is immutable, and measuring takes longer than building. So the card lies beside the version's directory,
`<version>.quality.json`, and names the manifest that it belongs to by its digest.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from byline.api.quality_card import Measurement, QualityCard
from byline.index.durable import replace_file

if TYPE_CHECKING:
    from byline.index.manifest import Manifest

MOST_BYTES = 1 << 20
"""A larger file is no card."""


@dataclass(frozen=True)
class CardReading:
    """The result of reading a quality card."""

    card: QualityCard | None = None
    """None where nothing was measured, or the file cannot be used."""
    problem: str | None = None
    """Why a file that is there is not used."""


def card_path(version: Path) -> Path:
    """Return the path of a version's card."""
    return version.with_name(f"{version.name}.quality.json")


def read_card(version: Path, manifest: "Manifest") -> CardReading:
    """Read the card beside a version. An unusable card does not keep the index from opening.

    Args:
        version: The version's directory.
        manifest: Its manifest.

    Returns:
        The card, or why there is none.
    """
    path = card_path(version)
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return CardReading()
    except OSError as error:
        return CardReading(problem=f"{path.name} cannot be read ({error.strerror})")
    if len(data) > MOST_BYTES:
        return CardReading(problem=f"{path.name} is larger than {MOST_BYTES:,} bytes")
    try:
        card = QualityCard.model_validate(json.loads(data))
    except (ValueError, RecursionError) as error:
        return CardReading(
            problem=f"{path.name} cannot be read as a quality card of this release{_where(error)}"
        )
    if card.manifest != manifest.digest:
        return CardReading(problem=f"{path.name} belongs to another build: run `byline evaluate` again")
    return CardReading(card)


def _where(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return ""
    fields = sorted({".".join(map(str, each["loc"])) for each in error.errors()[:3]})
    return f": {', '.join(fields)}"


def add_measurement(version: Path, manifest: "Manifest", new: Measurement) -> QualityCard:
    """Put a measurement on the card beside a version, which is made or replaced atomically.

    Args:
        version: The version's directory.
        manifest: Its manifest.
        new: The measurement.

    Returns:
        The card as it is now.
    """
    empty = QualityCard(manifest=manifest.digest, search_recall_at_10=manifest.search.recall_at_10)
    with _alone(version.parent):
        card = (read_card(version, manifest).card or empty).with_measurement(new)
        replace_file(card_path(version), card.model_dump_json(indent=1).encode() + b"\n")
    return card


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep two writers of cards apart, so that neither loses what the other measured."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
