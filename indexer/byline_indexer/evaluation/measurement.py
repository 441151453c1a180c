"""What a metric finds, and what goes on every measurement."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import torch

import byline
from byline.api.quality_card import Measurement


@dataclass(frozen=True)
class Measured:
    """What a metric found."""

    measurement: Measurement
    details: tuple[Mapping[str, Any], ...]
    """A document for each query, or for whatever else the value is made of."""


def today() -> date:
    """The date of a measurement, UTC."""
    return datetime.now(UTC).date()


def libraries() -> dict[str, str]:
    """Versions of what measures."""
    return {"byline": byline.__version__, "torch": torch.__version__, "numpy": np.__version__}
