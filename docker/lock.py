"""Pins every package of the images: `python docker/lock.py [cpu] [gpu]` writes docker/requirements-*.txt.

Run it with the images' Python (3.11, Linux on x86-64) after a change of dependencies, and commit what it writes.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TORCH_INDEX = os.environ.get("TORCH_INDEX", "https://download.pytorch.org/whl/cpu")
"""Where torch is without CUDA: the registry's own brings 3 GB of it."""


def pins(accelerator: str) -> list[str]:
    """Resolve an image's packages without installing them.

    Args:
        accelerator: `cpu` or `gpu`.

    Returns:
        `name==version`, sorted; local versions such as `+cpu` are left to the index.
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
    found = [entry["metadata"] for entry in report["install"]]
    versions = {each["name"].lower(): each["version"].partition("+")[0] for each in found}
    return sorted(f"{name}=={version}" for name, version in versions.items() if name != "byline")


def main() -> None:
    """Write the files."""
    for accelerator in sys.argv[1:] or ("cpu", "gpu"):
        target = ROOT / "docker" / f"requirements-{accelerator}.txt"
        written = f"# Every package of the {accelerator} image. Written by docker/lock.py {accelerator}."
        target.write_text("\n".join([written, *pins(accelerator)]) + "\n")


if __name__ == "__main__":
    main()
