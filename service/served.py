"""What the service serves: its indexes, and everything that the endpoints share."""

import asyncio
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog
from starlette.types import Scope

from byline.attribution import Attributor
from byline.errors import InvalidInput, InvalidQuery, NotFound
from service.admission import Admission, Amount
from service.bodies import SAFETENSORS, tensors_limit
from service.catalogue import Catalogue
from service.compute import ComputeThread
from service.metrics import Metrics
from service.settings import Settings

log = structlog.get_logger("service")
NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,63}$")
_FEATURE_NUMBER_BYTES = 32


@dataclass
class Service:
    """One running service: settings, indexes, the door and the compute thread."""

    settings: Settings
    attributors: Mapping[str, Attributor]
    metrics: Metrics = field(default_factory=Metrics)
    ready: bool = False
    """Whether every index answered its first query."""

    def __post_init__(self) -> None:
        for name in self.attributors:
            if not NAME.match(name):
                raise InvalidInput(
                    f"expected index names like {NAME.pattern}, got one of {len(name)} characters"
                )
        room = Amount(self.settings.queue_requests, self.settings.queue_cost, self.settings.queue_bytes)
        self.admission = Admission(room, self.metrics.inside.set)
        self.compute = ComputeThread(
            batch_cost=self.settings.batch_cost, threads=self.settings.threads, metrics=self.metrics
        )
        self._offer_baselines()
        self._catalogues = {name: Catalogue(a.index) for name, a in self.attributors.items()}
        self._gradient_bytes = {name: self._most_bytes(a) for name, a in self.attributors.items()}

    def _offer_baselines(self) -> None:
        """Offer each index what it can answer by; a baseline that none of them can is a mistake.

        Raises:
            InvalidInput: No index can, or a package is not installed.
        """
        for attributor in self.attributors.values():
            attributor.similarities.offer(self.settings.baselines)
        for baseline in self.settings.baselines:
            reasons = {name: a.similarities.missing.get(baseline) for name, a in self.attributors.items()}
            if all(reasons.values()):
                detail = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
                raise InvalidInput(
                    f"expected an index that can answer by the baseline {baseline}, got none ({detail})"
                )

    def attributor(self, name: str) -> Attributor:
        """Find an index.

        Raises:
            NotFound: None of that name is served.
        """
        if name not in self.attributors:
            raise NotFound(f"expected one of the indexes {', '.join(self.attributors)}, got another name")
        return self.attributors[name]

    def catalogue(self, name: str) -> Catalogue:
        """Find an index's lists.

        Raises:
            NotFound: None of that name is served.
        """
        self.attributor(name)
        return self._catalogues[name]

    async def warm(self) -> None:
        """Answer a first query on every index; only then is the service ready."""
        for name, attributor in self.attributors.items():
            await asyncio.wrap_future(self.compute.call(attributor.warm))
            log.info("warm", index=name, version=attributor.index.version)
            for baseline, reason in attributor.similarities.missing.items():
                log.warning("baseline not offered", index=name, baseline=baseline, detail=reason)
        self.ready = True

    def retry_after(self) -> int:
        """Seconds after which there should be room again."""
        return min(60, max(1, math.ceil(self.admission.cost * self.compute.seconds_each)))

    def body_limit(self, scope: Scope) -> int:
        """Largest body in bytes that a request may have."""
        name, gradient = _asked_index(scope["path"]), _is_gradient(scope)
        if name is None or name not in self.attributors:
            return self.settings.body_bytes
        feature = self.attributors[name].index.width * _FEATURE_NUMBER_BYTES
        return self._gradient_bytes[name] if gradient else self.settings.body_bytes + feature

    def _most_bytes(self, attributor: Attributor) -> int:
        """Largest gradient body; an index that takes none says so to a body of ordinary size."""
        try:
            return tensors_limit(attributor.expected_gradients())
        except InvalidQuery:
            return self.settings.body_bytes


def _asked_index(path: str) -> str | None:
    parts = path.split("/")
    return parts[3] if parts[1:3] == ["v1", "indexes"] and len(parts) == 5 else None


def _is_gradient(scope: Scope) -> bool:
    types = [value for name, value in scope["headers"] if name == b"content-type"]
    return any(value.decode("latin-1").lower().startswith(SAFETENSORS) for value in types)
