"""`byline serve`, in a process that also computes without HTTP on request from its standard input.

    python -m benchmarks.service.served NAME=INDEX --port 0 ...

Each line of standard input is a JSON document `{"name", "queries", "options", "seconds"}`: the compute thread answers
batches of these queries for so long, and a line `direct {"rate": ...}` says how many a second.
"""

import json
import sys
import threading
import time
from socket import socket

import byline_service.server
from byline.attribution.request import AttributionRequest


class Measured(byline_service.server.Server):
    """A server that also reads its standard input."""

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin:
            asked = json.loads(line)
            found: dict[str, float] = {}
            self._service().compute.call(lambda: found.update(self._direct(**asked))).result()  # noqa: B023 - awaited
            print("direct", json.dumps(found), flush=True)

    def _service(self):
        return self.config.app.state.service

    def _direct(self, name: str, queries: list[dict], options: dict, seconds: float) -> dict[str, float]:
        attributor = self._service().attributors[name]
        questions = [attributor.check(AttributionRequest(query=query, **options)) for query in queries]
        attributor.answer(questions)  # warms up
        begun, done = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - begun) < seconds:
            attributor.answer(questions)
            done += len(questions)
        return {"rate": done / elapsed}


def main() -> None:
    byline_service.server.Server = Measured
    from byline.__main__ import main as byline

    sys.argv = ["byline", "serve", *sys.argv[1:]]
    byline()


if __name__ == "__main__":
    main()
