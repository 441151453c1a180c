"""The source code of installed packages, each file with its owner and license.

Who owns a package and under which license comes from the package's own metadata. Nothing is
downloaded.
"""

import hashlib
import importlib.metadata
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.message import Message
from email.utils import getaddresses
from importlib.metadata import Distribution, PackagePath
from pathlib import Path
from typing import cast

from pydantic import TypeAdapter

from byline.tasks import Document

PACKAGES = (
    "click",
    "fastapi",
    "httpx",
    "jinja2",
    "numpy",
    "prometheus-client",
    "pydantic",
    "rich",
    "starlette",
    "structlog",
    "transformers",
    "typer",
    "uvicorn",
)
"""Taken where they are installed: most come with Byline itself."""
SKIPPED = re.compile(r"(^|/)(tests?|testing|_vendor|_internal|vendored)(/|_)|(^|/)(test_|_?version)")
PROSE = 0.5
"""Files with a smaller share of letters are tables of numbers."""
DOCUMENTS = TypeAdapter(list[Document])


@dataclass(frozen=True)
class Sizes:
    """How much is taken of each package, so that none outweighs the others."""

    files: int = 14
    """Files to train on, at most."""
    held_out: int = 3
    """Files that are never trained on."""
    characters: int = 40_000
    """Characters to train on, at most."""
    file_characters: int = 8_000
    """Characters of one file: its beginning."""
    shortest: int = 1_200
    """Shorter files are left out."""


@dataclass(frozen=True)
class Corpus:
    """Files to train on, and files of the same packages that are held out."""

    train: list[Document]
    held_out: list[Document]

    @property
    def digest(self) -> str:
        """Names the content: equal packages give equal digests."""
        parts = [DOCUMENTS.dump_json(documents) for documents in (self.train, self.held_out)]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()


def collect(packages: Sequence[str] = PACKAGES, sizes: Sizes | None = None) -> Corpus:
    """Read the packages that are installed, always in the same order.

    Args:
        packages: Names; those that are not installed are skipped.
        sizes: How much of each.

    Returns:
        The corpus, split by file.
    """
    sizes = sizes or Sizes()
    train: list[Document] = []
    held_out: list[Document] = []
    for name in packages:
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        files = list(_source_files(distribution, sizes))
        held_out += files[: sizes.held_out]
        train += _within(files[sizes.held_out :], sizes)
    return Corpus(train, held_out)


def write_documents(path: Path, documents: list[Document]) -> None:
    """Keep documents as JSON."""
    path.write_bytes(DOCUMENTS.dump_json(documents))


def read_documents(path: Path) -> list[Document]:
    """Read what `write_documents` wrote."""
    return DOCUMENTS.validate_json(path.read_bytes())


def owner_of(metadata: Message) -> str:
    """Name a package's owner in its own words: the first author, or else maintainer.

    Args:
        metadata: The package's.

    Returns:
        A name without its e-mail address, with "et al." where there are more.
    """
    for field in ("Author", "Author-email", "Maintainer", "Maintainer-email"):
        value = str(metadata.get(field) or "").strip()
        addresses = getaddresses([value]) if "@" in value else []
        names = [n for n, _ in addresses if n] if addresses else re.split(r",\s*", value)
        names = [re.sub(r"\s*\(.*", "", name) for name in names if name and name != "UNKNOWN"]
        if names:
            return names[0] + (" et al." if len(names) > 1 else "")
    return str(metadata["Name"])


def license_of(metadata: Message) -> str | None:
    """Name a package's license: its SPDX expression, its own words, or its classifiers.

    Args:
        metadata: The package's.

    Returns:
        One short line, or None where the package says nothing.
    """
    words = str(metadata.get("License-Expression") or metadata.get("License") or "").strip()
    if words and len(words) <= 100 and "\n" not in words:
        return words
    classifiers = [str(c) for c in metadata.get_all("Classifier") or []]
    licenses = [c.split(" :: ")[-1] for c in classifiers if c.startswith("License :: ")]
    return " OR ".join(sorted(licenses)) or None


def _source_files(distribution: Distribution, sizes: Sizes) -> Iterable[Document]:
    metadata = cast(Message, distribution.metadata)  # what it is, though it is declared as less
    name, version = str(metadata["Name"]), distribution.version
    paths = [p for p in distribution.files or [] if p.suffix == ".py" and not SKIPPED.search(str(p))]
    for path in sorted(paths, key=_shuffled):
        source = Path(str(path.locate()))
        if not source.is_file() or source.stat().st_size < sizes.shortest:
            continue
        text = source.read_text(encoding="utf-8", errors="replace")[: sizes.file_characters]
        if sum(map(str.isalpha, text)) < PROSE * len(text):
            continue
        yield Document(
            text=text,
            id=f"{name}/{path}"[-180:],
            owner=owner_of(metadata),
            license=license_of(metadata),
            uri=f"pkg:pypi/{name}@{version}#{path}",
            label=name,
        )


def _shuffled(path: PackagePath) -> str:
    """An order that looks random and is the same everywhere: neither by name nor by time."""
    return hashlib.sha256(str(path).encode()).hexdigest()


def _within(files: Sequence[Document], sizes: Sizes) -> Iterable[Document]:
    left = sizes.characters
    for file in files[: sizes.files]:
        if len(file.text) <= left:
            left -= len(file.text)
            yield file
