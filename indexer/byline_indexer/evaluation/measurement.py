"""Hold the result of a metric, with the date and the libraries of its measurement."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import torch

from byline.api.quality_card import Measurement
from byline.version import __version__


@dataclass(frozen=True)
class Measured:
    """A measurement and its details."""

    measurement: Measurement
    details: tuple[Mapping[str, Any], ...]
    """One document for each query, or for each other part of the value."""


def today() -> date:
    """Return today's date, UTC."""
    return datetime.now(UTC).date()


def libraries() -> dict[str, str]:
    """List the versions of Byline and of the libraries that compute."""
    return {"byline": __version__, "torch": torch.__version__, "numpy": np.__version__}
