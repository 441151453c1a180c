"""Commands of Byline that a demo shows, and the persons who ask its service."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from examples.demo import ROOT, show_command


def run(*arguments: str | Path, data: Path | None = None) -> None:
    """Run a command of Byline, and show it."""
    show_command(*arguments)
    environment = os.environ | ({} if data is None else {"BYLINE_DATA_DIR": str(data)})
    subprocess.run([sys.executable, "-m", "byline", *arguments], check=True, cwd=ROOT, env=environment)


def output(*arguments: str, data: Path) -> str:
    """Run a command of Byline, and return what it prints."""
    show_command(*arguments)
    command = [sys.executable, "-m", "byline", *arguments]
    environment = os.environ | {"BYLINE_DATA_DIR": str(data)}
    done = subprocess.run(command, check=True, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


class Desk:
    """Asks the service as different persons; each request has an idempotency key of its own.

    Args:
        url: The service.
        key: An administrator's.
        data: The folder of the service's database.
    """

    def __init__(self, url: str, key: str, data: Path) -> None:
        self._data = data
        self._client = httpx.Client(base_url=url, timeout=60)
        self._keys = {"root": key}
        self._count = 0

    def person(self, name: str, *scopes: str) -> None:
        """Give somebody a key on the command line: an approver's and a drafter's have no maker in common."""
        asked = itertools.chain.from_iterable(("--scope", scope) for scope in scopes)
        self._keys[name] = output("keys", "create", "demo", "--person", name, *asked, data=self._data)

    def post(self, person: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send something; anything but success raises."""
        self._count += 1
        headers = {
            "authorization": f"Bearer {self._keys[person]}",
            "idempotency-key": f"{os.getpid()}-{self._count}",
        }
        content = None if body is None else json.dumps(body)
        kind = {"content-type": "application/json"}
        return self._read(self._client.post(path, content=content, headers=headers | kind))

    def get(self, person: str, path: str) -> dict[str, Any]:
        """Read something."""
        headers = {"authorization": f"Bearer {self._keys[person]}"}
        return self._read(self._client.get(path, headers=headers))

    @staticmethod
    def _read(response: httpx.Response) -> dict[str, Any]:
        if not response.is_success:
            raise SystemExit(f"{response.request.url}: {response.status_code} {response.text}")
        found: dict[str, Any] = response.json()
        return found
