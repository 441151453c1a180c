"""Pins every package of the images with its hash: `python docker/lock.py [cpu] [gpu]` writes docker/requirements-*.txt.

PyTorch without CUDA comes from an index of its own, so it has a file of its own: docker/torch-cpu.txt.

Run it with the images' Python (3.11, Linux on x86-64) after a change of dependencies, and commit what it writes.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TORCH_INDEX = os.environ.get("TORCH_INDEX", "https://download.pytorch.org/whl/cpu")
"""Where torch is without CUDA: the registry's own brings 3 GB of it."""


def pins(accelerator: str) -> dict[str, str]:
    """Resolve an image's packages without installing them.

    Args:
        accelerator: `cpu` or `gpu`.

    Returns:
        `name==version --hash=sha256:…` of the file that pip chose, by name; local versions such as `+cpu` are left to the
        index.
    """
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--dry-run",
        "--ignore-installed",
        "--no-input",
    ]
    if accelerator == "cpu":
        command += ["--extra-index-url", TORCH_INDEX]
    command += ["--report", "-", "-c", "constraints.txt", f".[{accelerator},hf]"]
    report = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    found = {entry["metadata"]["name"].lower(): entry for entry in report["install"]}
    return {name: _pin(name, entry) for name, entry in sorted(found.items()) if name != "byline"}


def _pin(name: str, entry: dict[str, Any]) -> str:
    version = entry["metadata"]["version"].partition("+")[0]
    return f"{name}=={version} --hash=sha256:{entry['download_info']['archive_info']['hashes']['sha256']}"


def main() -> None:
    """Write the files."""
    for accelerator in sys.argv[1:] or ("cpu", "gpu"):
        found = pins(accelerator)
        if accelerator == "cpu":
            torch = "# PyTorch without CUDA, from its own index. Written by docker/lock.py cpu."
            (ROOT / "docker" / "torch-cpu.txt").write_text(f"{torch}\n{found.pop('torch')}\n")
        target = ROOT / "docker" / f"requirements-{accelerator}.txt"
        written = f"# Every package of the {accelerator} image. Written by docker/lock.py {accelerator}."
        target.write_text("\n".join([written, *found.values()]) + "\n")


if __name__ == "__main__":
    main()
