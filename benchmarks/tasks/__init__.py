"""Data sets, networks and trainers that the benchmarks share."""

from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".bench"
"""Downloads, weights and truths that a later run uses again."""
