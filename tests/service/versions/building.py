"""Two versions of the tests' tiny Task in one index directory."""

import json
import shutil
from pathlib import Path

from byline.index.canonical_json import canonical_digest, canonical_json
from byline.index.publishing import current_version
from byline_indexer.build.build import build
from byline_indexer.config import load_config
from byline_service.versions.directory import IndexDirectory

TINY = Path(__file__).parents[2] / "indexer" / "tiny_task.py"
QUERY = {"x": [0.5, -1.0, 0.25, 2.0, 0.0, 1.0], "label": 2}


def build_versions(folder: Path, sizes=(16, 8)) -> list[str]:
    """Build a version for each projection's size; `current` points at the first."""
    shutil.copy(TINY, folder / "tiny_task.py")
    names = []
    for size in sizes:
        (folder / "build.toml").write_text(
            f'task = "tiny_task.py:task"\n[recipe]\nname = "ekfac"\n[recipe.projection]\nsize = {size}\n'
            '[index]\npath = "index"\n'
        )
        build(load_config(folder / "build.toml"))
        names.append(current_version(folder / "index"))
    (folder / "index" / "current").write_text(f"{names[0]}\n")
    return names


def directory(folder: Path, *, with_task: bool = True) -> IndexDirectory:
    return IndexDirectory(index="tiny", path=folder / "index", with_task=with_task, threads=1)


def of_an_older_byline(version: Path) -> None:
    """Give a version the schema of an older release."""
    content = json.loads((version / "manifest.json").read_bytes())["content"] | {"schema_version": 1}
    data = canonical_json({"content": content, "sha256": canonical_digest(content)})
    (version / "manifest.json").write_bytes(data)


def flip(path: Path, at: int = -1) -> None:
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
