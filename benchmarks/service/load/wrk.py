"""Many clients by Debian's wrk, which takes little of the two cores that it shares with the server."""

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks.service.serving import Server

INSTALLED = shutil.which("wrk") is not None
_SCRIPT = """
local bodies = {}
for line in io.lines("%s") do bodies[#bodies + 1] = line end
local asked = 0
request = function()
  asked = asked + 1
  return wrk.format("POST", nil, nil, bodies[asked %% #bodies + 1])
end
"""


def throughput(server: Server, clients: int, seconds: float) -> float:
    """Measure answers per second of clients that ask again as soon as they have an answer.

    Raises:
        SystemExit: An answer was none.
    """
    with tempfile.TemporaryDirectory() as folder:
        bodies, script = Path(folder) / "bodies", Path(folder) / "ask.lua"
        bodies.write_bytes(b"\n".join(server.case.bodies) + b"\n")
        script.write_text(_SCRIPT % json.dumps(str(bodies))[1:-1])
        named = {name: value for name, value in server.headers.items() if name != "host"}  # wrk sends its own
        headers = [part for name, value in named.items() for part in ("-H", f"{name}: {value}")]
        command = [
            "wrk",
            "-t1",
            f"-c{clients}",
            f"-d{max(1, round(seconds))}s",
            "--timeout",
            "60s",
            "-s",
            str(script),
        ]
        url = f"http://127.0.0.1:{server.port}{server.path}"
        done = subprocess.run([*command, *headers, url], capture_output=True, text=True, check=True)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise SystemExit(f"expected answers only, got: {done.stdout}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    assert found
    return float(found[1])
