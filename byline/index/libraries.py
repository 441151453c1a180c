"""Versions of the libraries that compute and write an index."""

import platform
import sqlite3

import numpy as np
import safetensors
import torch

from byline.index import faiss_file
from byline.version import __version__


def libraries() -> dict[str, str]:
    """Name -> version, for the manifest, and for workers that must have the same."""
    return {
        "byline": __version__,
        "faiss": faiss_file.version(),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "safetensors": str(safetensors.__version__),
        "sqlite": sqlite3.sqlite_version,
        "torch": str(torch.__version__),
    }
