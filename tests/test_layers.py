"""The layers hold: who may import whom, and what is done in one place only."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def sources(*packages: str) -> Iterator[tuple[Path, ast.Module]]:
    for package in packages:
        for path in (ROOT / package).rglob("*.py"):
            yield path.relative_to(ROOT), ast.parse(path.read_text())


def imported(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_applications_never_meet() -> None:
    for path, tree in sources("indexer"):
        assert "byline_service" not in imported(tree), path
    for path, tree in sources("service"):
        assert "byline_indexer" not in imported(tree), path
    for path, tree in sources("byline"):
        if path != Path("byline/__main__.py"):
            assert not imported(tree) & {"byline_indexer", "byline_service", "fastapi", "typer", "uvicorn"}, (
                path
            )


def test_faiss_is_imported_once() -> None:
    users = [str(path) for path, tree in sources("byline", "indexer", "service") if "faiss" in imported(tree)]
    assert users == ["byline/index/faiss_file.py"]


def test_hooks_are_registered_once() -> None:
    users = [
        str(path)
        for path, _ in sources("byline", "indexer", "service")
        if re.search(r"register_\w*hook", (ROOT / path).read_text())
    ]
    assert users == ["byline/gradients/capture/hooks.py"]


def test_nothing_reads_the_environment_but_the_settings() -> None:
    for path, tree in sources("byline", "indexer", "service"):
        reads = [
            n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr in {"environ", "getenv"}
        ]
        assert not reads or path in {
            Path("service/byline_service/settings.py"),
            Path("byline/__main__.py"),
        }, path


def test_nothing_is_unpickled() -> None:
    for path, tree in sources("byline", "indexer", "service"):
        assert not imported(tree) & {"pickle", "dill", "joblib", "shelve", "marshal"}, path
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"torch.load", "np.load"}:
                safe = {"weights_only": True, "allow_pickle": False}
                given = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
                assert any(given.get(name) is value for name, value in safe.items()), path


def test_computing_modules_touch_no_files() -> None:
    for path, tree in sources("byline/gradients", "byline/projection", "byline/curvature"):
        assert not imported(tree) & {"pathlib", "os", "io", "json", "sqlite3", "safetensors", "shutil"}, path
