"""docs/diffusion.md, followed from its first line: its files, its commands and its Python."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import byline

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/diffusion.md").read_text(encoding="utf-8")
PATHS = os.pathsep.join(str(ROOT / name) for name in ("", "indexer", "service"))
PIXELS = [round(0.01 * place, 2) for place in range(64)]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("diffusion")
    (task, *_), (build,) = blocks("python"), blocks("toml")
    seeded = task.replace("def task():\n", "def task():\n    torch.manual_seed(0)\n")
    (place / "images.py").write_text(seeded)
    (place / "images.toml").write_text(build)
    (place / "query.json").write_text(json.dumps({"image": PIXELS}))
    (place / "queries.jsonl").write_text(json.dumps({"image": PIXELS}) + "\n")
    (place / "byline").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m byline "$@"\n')
    (place / "byline").chmod(0o755)
    return place


def test_every_command_and_every_line_of_python(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (commands,) = blocks("sh")
    shell = shutil.which("sh")
    assert shell is not None
    env = {
        "PATH": f"{folder}:/usr/bin:/bin",
        "PYTHONPATH": PATHS,
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "160",
    }
    done = subprocess.run(
        [shell, "-e", "-c", commands],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "over 8 sets" in done.stdout
    assert "denoising_750_999" in done.stdout
    assert np.load(folder / "patches.npy").shape == (1, 40)

    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    names: dict[str, Any] = {"index": byline.open("indexes/images"), "pixels": PIXELS, "__name__": "images"}
    _, *python = blocks("python")
    exec((folder / "images.py").read_text(), names)  # noqa: S102
    for block in python:
        exec(block, names)  # noqa: S102
    assert names["answer"].replicates == 8
    assert names["found"].scores_R.shape == (40,)
    assert sorted(names["parts"]) == [f"denoising_{n}_{n + 249}" for n in range(0, 1000, 250)]
    whole = names["answer"].proponents[0]
    assert whole.score == pytest.approx(names["found"].scores_R[whole.row], rel=1e-2)
    assert names["likeness"].index.recipe.name == "d_trak"
