"""The built wheel carries the product and nothing else, and runs outside the checkout."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from byline.version import __version__

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
    for root, folder in (
        ("service", "byline_service/templates"),
        ("service", "byline_service/static"),
        (".", "byline/api/templates"),
    ):
        files = [path for path in (ROOT / root / folder).rglob("*") if path.is_file()]
        assert files
        packed = {path.relative_to((ROOT / root).resolve()).as_posix() for path in files}
        assert packed <= set(names), "pages and cards are part of the product"
    assert wheel.name.startswith(f"byline-{__version__}-")


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, installed into a folder of its own without its dependencies."""
    site = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*pip, str(site), str(wheel)], check=True, timeout=120, capture_output=True)
    return site


def run(site: Path, folder: Path, *arguments: str) -> str:
    """Run Python in a folder with the installed wheel before everything else.

    Returns:
        The standard output.
    """
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", "BYLINE_DATA_DIR": str(folder / "data")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readme_needs_no_more_than_it_installs(site: Path, tmp_path: Path) -> None:
    """Packages of the extras that the README's first line leaves out are not there."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "quickstart.py").write_text("".join(blocks))
    (tmp_path / "blocked.py").write_text(
        "import sys\n"
        "for name in ('pandas', 'sklearn', 'scipy', 'transformers', 'tokenizers', 'peft', 'bm25s', 'psutil'):\n"
        "    sys.modules[name] = None\n"
    )
    (tmp_path / "run.py").write_text("import blocked\nimport runpy\nrunpy.run_path('quickstart.py')\n")
    assert run(site, tmp_path, "run.py").count("row ") == 6


def test_runs_outside_the_checkout(site: Path, tmp_path: Path) -> None:
    for arguments in (["--help"], ["recipes"]):
        run(site, tmp_path, "-m", "byline", *arguments)
    found = run(site, tmp_path, "-c", "import byline; print(byline.__file__)")
    assert found.startswith(str(site))


NAMES = ("service", "indexer", "tests", "benchmarks", "tasks")
"""Names of a user's own modules that Byline's folders have or had too."""

TASK = """
import sys
from pathlib import Path

import torch
from byline.api.example import Example
from byline.task import Checkpoint, Task

from benchmarks.measured import BENCHMARKS
from indexer import INDEXER
from service import SERVICE
from tasks import TASKS
from tests.helpers import TESTS

HERE = Path(__file__).parent
SIZES = [SERVICE, INDEXER, TESTS, BENCHMARKS, TASKS]
assert SIZES == [1, 2, 3, 4, 5], "these modules are the user's own"
for name in ("service", "indexer", "tests.helpers", "benchmarks.measured", "tasks"):
    assert Path(sys.modules[name].__file__).is_relative_to(HERE), name
assert not Path(sys.modules["byline"].__file__).is_relative_to(HERE)


def task():
    torch.manual_seed(0)
    model = torch.nn.Linear(len(SIZES), 1)
    rows = torch.randn(20, len(SIZES))
    return Task(
        name="own-modules",
        model=lambda: torch.nn.Linear(len(SIZES), 1),
        checkpoints=[Checkpoint(weights=model.state_dict())],
        train_set=[(row, row.sum()) for row in rows],
        describe=lambda row: Example(id=f"row-{row}"),
        loss=lambda model, batch: (model(batch[0])[:, 0] - batch[1]).square(),
    )
"""


def write_project(folder: Path) -> None:
    """A Task with modules of its own that are named as folders of Byline are, and its build file."""
    files = {
        "own.py": TASK,
        "service.py": "SERVICE = 1\n",
        "indexer.py": "INDEXER = 2\n",
        "tests/__init__.py": "",
        "tests/helpers.py": "TESTS = 3\n",
        "benchmarks/__init__.py": "",
        "benchmarks/measured.py": "BENCHMARKS = 4\n",
        "tasks.py": "TASKS = 5\n",
        "build.toml": 'task = "own.py:task"\n[recipe]\nname = "grad_dot"\n[index]\npath = "index"\n',
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.slow
def test_a_task_may_have_modules_named_as_bylines_folders(site: Path, tmp_path: Path) -> None:
    write_project(tmp_path)
    run(site, tmp_path, "-m", "byline", "build", "build.toml")
    assert "agree with their checksums" in run(site, tmp_path, "-m", "byline", "verify", "index")
    assert (tmp_path / "index" / "current").exists()


@pytest.mark.slow
def test_byline_runs_beside_packages_named_as_its_folders(site: Path, tmp_path: Path) -> None:
    """The current folder is first on Python's path with `-m`: its packages must not be taken for Byline's."""
    for name in NAMES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise RuntimeError('{name} is not part of Byline')\n")
    write_project(tmp_path / "project")
    run(site, tmp_path, "-m", "byline", "build", "project/build.toml")
    assert (tmp_path / "project" / "index" / "current").exists()
    run(site, tmp_path, "-m", "byline", "serve", "--help")
