"""The built wheel carries the product and nothing else, and runs outside the checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return next(folder.glob("byline-*.whl"))


def test_contents(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"byline", "byline_indexer", "byline_service"}
    assert not [name for name in names if "test" in name.lower() or name.endswith((".pyc", ".toml"))]
    assert "byline/py.typed" in names
    for folder in ("service/byline_service/templates", "service/byline_service/static"):
        files = [
            str(path.relative_to(ROOT / "service")) for path in (ROOT / folder).rglob("*") if path.is_file()
        ]
        assert files
        assert set(files) <= set(names), "pages are part of the product"


def test_runs_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run(pip, check=True, timeout=120, capture_output=True)
    for arguments in (["--help"], ["recipes"]):
        command = [sys.executable, "-m", "byline", *arguments]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={"PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    where = [sys.executable, "-c", "import byline; print(byline.__file__)"]
    found = subprocess.run(
        where, cwd=tmp_path, env={"PYTHONPATH": str(site)}, capture_output=True, text=True, check=True
    )
    assert found.stdout.startswith(str(site))
