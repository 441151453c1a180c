"""Results of checks against autograd, in `.checks.json` of the index directory: an opening needs no second check.

An entry holds for a version, whose name covers the Task's code, the weights and the recipe, for one member's model, and for
the libraries, the local packages that the code uses, the device and the precision that it was checked with. The file is a
cache, like `.digests.json`: it may be deleted. Write access to it is write access to the index.
"""

import json
import platform
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import ValidationError
from torch import nn

from byline.gradients.check_record import CheckRecord
from byline.index.canonical_json import canonical_digest
from byline.index.durable import replace_file
from byline.index.fingerprint import METHOD_REVISION
from byline.index.layout import CHECK_CACHE, CURRENT
from byline.index.libraries import libraries
from byline.index.verification import sha256_of
from byline.loading.installed_code import is_installed
from byline.loading.local_sources import local_sources

MOST = 64
"""Entries that are kept, the latest ones."""


class CheckCache:
    """Check records of one version.

    Args:
        path: The file.
        version: The version's whole fingerprint.
        code: The Task's functions.
    """

    def __init__(self, path: Path, version: str, code: Sequence[object] = ()) -> None:
        self._path, self._version, self._code = path, version, tuple(code)

    @classmethod
    def beside(cls, version: Path, fingerprint: str, code: Sequence[object] = ()) -> Self | None:
        """Take the cache of an index directory. None for a version outside of one, as `.digests.json` has none there.

        Args:
            version: The version's directory.
            fingerprint: Its whole fingerprint.
            code: The Task's functions.
        """
        parent = version.parent
        return cls(parent / CHECK_CACHE, fingerprint, code) if (parent / CURRENT).is_file() else None

    def find(self, model: nn.Module, member: str, compute: str) -> CheckRecord | None:
        """Find what a check of the same model said. None where there was none.

        Args:
            model: The network, with its weights.
            member: Name of the member without its mask.
            compute: Device and precision.
        """
        entry = _read(self._path).get(self._key(model, member, compute))
        try:
            return None if entry is None else CheckRecord.model_validate_json(json.dumps(entry))
        except ValidationError:  # of another release
            return None

    def keep(self, model: nn.Module, member: str, compute: str, record: CheckRecord) -> None:
        """Remember what a check said. Where the place is read-only, the next opening checks again.

        Args:
            model: The network, with its weights.
            member: Name of the member without its mask.
            compute: Device and precision.
            record: The result.
        """
        key = self._key(model, member, compute)
        others = [(name, each) for name, each in _read(self._path).items() if name != key]
        kept = dict([*others, (key, record.model_dump(mode="json"))][-MOST:])
        try:
            replace_file(self._path, json.dumps(kept).encode())
        except OSError:
            return

    def forget(self) -> None:
        """Delete all results: the next opening checks every model."""
        self._path.unlink(missing_ok=True)

    def _key(self, model: nn.Module, member: str, compute: str) -> str:
        return canonical_digest(
            {
                "version": self._version,
                "member": member,
                "compute": compute,
                "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
                "libraries": {**libraries(), **_model_libraries(model)},
                "sources": local_sources([*self._code, *_classes(model)]),
                "revision": METHOD_REVISION,
            }
        )


def _classes(model: nn.Module) -> set[type]:
    return {base for module in model.modules() for base in type(module).__mro__}


def _model_libraries(model: nn.Module) -> dict[str, str]:
    """Versions or sources of the installed packages that the classes of the model's modules are of, by top-level module."""
    classes_of: dict[str, set[type]] = {}
    for kind in _classes(model):
        if is_installed(kind.__module__):
            classes_of.setdefault(kind.__module__.partition(".")[0], set()).add(kind)
    own = sorted(set(classes_of) - sys.stdlib_module_names)
    return {f"model/{name}": _version(name) or _sources(name, classes_of[name]) for name in own}


def _version(package: str) -> str:
    """Find the version of an installed package by its module's name. None is known of sources that may change in place."""
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:  # its distribution has another name, or it is the user's own code
        return ""
    origin: Any = json.loads(distribution.read_text("direct_url.json") or "{}")
    return "" if origin.get("dir_info", {}).get("editable") else distribution.version


def _sources(package: str, classes: Iterable[type]) -> str:
    """Digest the files that classes are written in, and the version that their package says itself."""
    modules = [sys.modules.get(name) for name in sorted({kind.__module__ for kind in classes})]
    files = sorted({file for module in modules if (file := getattr(module, "__file__", None)) is not None})
    digests = [sha256_of(Path(file)) for file in files if Path(file).is_file()]
    return canonical_digest([str(getattr(sys.modules.get(package), "__version__", "")), *digests])


def _read(path: Path) -> dict[str, Any]:
    try:
        entries = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}
