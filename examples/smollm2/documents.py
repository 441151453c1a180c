"""Real documents with owners: how installed packages describe themselves, as questions and answers.

One line of JSON a package: `{"messages": [...], "id": ..., "owner": ..., "license": ..., "uri": ...}`. Text, author and
license come from the package's own metadata. Nothing is downloaded.
"""

import importlib.metadata
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from itertools import islice
from pathlib import Path
from typing import Any, cast

from examples.code_lm.corpus import license_of, owner_of

_NOISE = re.compile(r"^(\s*[|=~\-*#+<!\[.:].*|.*https?://.*|\s*)$", re.MULTILINE)
"""Lines of badges, links, tables and headings."""
_BLANK = re.compile(r"\s*\n\s*")


@dataclass(frozen=True)
class Sizes:
    """How much is taken."""

    packages: int = 96
    characters: int = 700
    """Of a description: its beginning."""
    shortest: int = 150
    """Shorter descriptions are left out."""


def question(package: str) -> str:
    """Ask for a package."""
    return f"What is the Python package {package}?"


def answers(sizes: Sizes) -> Iterator[tuple[Message, str, str]]:
    """Describe installed packages, in the order of their names.

    Args:
        sizes: How much is taken.

    Yields:
        A package's metadata, its owner, and the beginning of its description.
    """
    distributions = sorted(
        importlib.metadata.distributions(), key=lambda each: str(each.metadata["Name"]).lower()
    )
    described = (
        (metadata, owner_of(metadata), _description(metadata)[: sizes.characters])
        for metadata in (cast("Message", each.metadata) for each in distributions)
        if metadata["Name"] != "byline"
    )
    yield from islice((each for each in described if len(each[2]) >= sizes.shortest), sizes.packages)


def write_documents(path: Path, sizes: Sizes) -> int:
    """Write a JSONL file of questions and answers, anew.

    Args:
        path: The file.
        sizes: How much is taken.

    Returns:
        Number of lines.
    """
    lines = [_line(*each) for each in answers(sizes)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return len(lines)


def _line(metadata: Message, owner: str, answer: str) -> dict[str, Any]:
    name = str(metadata["Name"])
    return {
        "messages": [{"role": "user", "content": question(name)}, {"role": "assistant", "content": answer}],
        "id": name,
        "owner": owner,
        "license": license_of(metadata),
        "uri": f"https://pypi.org/project/{name}/",
    }


def _description(metadata: Message) -> str:
    text = str(metadata.get_payload() or metadata.get("Description") or "")
    summary = str(metadata.get("Summary") or "").strip()
    body = _BLANK.sub("\n", _NOISE.sub("", text)).strip()
    return f"{summary}\n{body}".strip()
