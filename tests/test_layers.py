"""The layers hold: who may import whom, and what is done in one place only."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

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


COMPOSING = {Path("byline/__main__.py"), Path("byline/entry_points.py"), Path("byline/__init__.py")}
"""Modules of the library that name an application, whose code is loaded when it is first used."""


def test_applications_never_meet() -> None:
    for path, tree in sources("indexer"):
        assert "byline_service" not in imported(tree), path
    for path, tree in sources("service"):
        assert "byline_indexer" not in imported(tree), path
    for path, tree in sources("byline"):
        if path not in COMPOSING:
            assert not imported(tree) & {"byline_indexer", "byline_service", "fastapi", "typer", "uvicorn"}, (
                path
            )


def test_faiss_is_imported_once() -> None:
    users = [str(path) for path, tree in sources("byline", "indexer", "service") if "faiss" in imported(tree)]
    assert users == ["byline/index/faiss_file.py"]


def names_of_the_package(tree: ast.Module) -> set[str]:
    """The names that a module takes from `byline` itself, whose names come from every layer.

    Modules of the package may be taken from it (`from byline import errors`): contracts see those.
    """
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {
                each.name for each in node.names if each.name.split(".")[0] == "byline" and not each.asname
            }
            found |= {each.name for each in node.names if each.name == "byline"}
        elif isinstance(node, ast.ImportFrom) and node.module == "byline":
            found |= {each.name for each in node.names if not is_module(each.name)}
    return found


def is_module(name: str) -> bool:
    return (ROOT / f"byline/{name}.py").exists() or (ROOT / f"byline/{name}/__init__.py").exists()


def test_no_module_takes_names_from_the_package_itself() -> None:
    for path, tree in sources("byline", "indexer", "service"):
        assert not names_of_the_package(tree), path


@pytest.mark.parametrize(
    "line",
    ["import byline", "import byline as b", "import byline.errors", "from byline import Attributor, errors"],
)
def test_names_of_the_package_are_found(line: str) -> None:
    assert names_of_the_package(ast.parse(line))
    assert not names_of_the_package(ast.parse("from byline import errors\nfrom byline.task import Task"))


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


PACKAGES = {
    "byline": "byline",
    "byline_indexer": "indexer/byline_indexer",
    "byline_service": "service/byline_service",
}
REMAINING_CYCLES: list[set[str]] = []
"""Groups of folders that import each other in a circle. The list may only shrink."""


def type_checking_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def executed(tree: ast.AST) -> Iterator[ast.AST]:
    """Leave out what is imported for its types alone.

    Yields:
        Every other node of a module.
    """
    for node in ast.iter_child_nodes(tree):
        if not type_checking_only(node):
            yield node
            yield from executed(node)


def folder_graph(package: str, folder: Path) -> dict[str, set[str]]:
    """Map each folder of a package to the folders that its modules import; a module at the top is a folder of its own."""
    files = {
        ".".join([package, *path.relative_to(folder).with_suffix("").parts]).removesuffix(".__init__"): path
        for path in folder.rglob("*.py")
    }
    graph: dict[str, set[str]] = defaultdict(set)
    for path in files.values():
        for node in executed(ast.parse(path.read_text())):
            for name in imported_modules(node):
                module = name if name in files else name.rpartition(".")[0]  # an attribute of a module
                if module in files:
                    graph[folder_of(path, folder)].add(folder_of(files[module], folder))
    return graph


def imported_modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def folder_of(path: Path, root: Path) -> str:
    return (
        path.relative_to(ROOT).as_posix() if path.parent == root else path.parent.relative_to(ROOT).as_posix()
    )


def circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """The groups of two or more folders that reach each other."""
    reached: dict[str, set[str]] = {}
    for start, direct in graph.items():
        seen, waiting = set[str](), [*direct]
        while waiting:
            node = waiting.pop()
            if node not in seen:
                seen.add(node)
                waiting.extend(graph.get(node, ()))
        reached[start] = seen
    groups = {frozenset({b for b in reached[a] if a in reached.get(b, ())} | {a}) for a in graph}
    return {group for group in groups if len(group) > 1}


def test_no_folders_import_each_other_in_a_circle() -> None:
    found = set[frozenset[str]]()
    for package, folder in PACKAGES.items():
        found |= circles(folder_graph(package, ROOT / folder))
    new = [sorted(group) for group in found if not any(group <= known for known in REMAINING_CYCLES)]
    assert not new, new


def module_graph(package: str, folder: Path) -> dict[str, set[str]]:
    """Map each module of a package to the modules that it imports, inside functions and for types too."""
    files = {
        ".".join([package, *path.relative_to(folder).with_suffix("").parts]).removesuffix(".__init__"): path
        for path in folder.rglob("*.py")
    }
    graph: dict[str, set[str]] = {}
    for module, path in files.items():
        names = [name for node in ast.walk(ast.parse(path.read_text())) for name in imported_modules(node)]
        found = {name if name in files else name.rpartition(".")[0] for name in names}
        graph[module] = found & set(files) - {module}
    return graph


@pytest.mark.parametrize("package", PACKAGES)
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    graph = module_graph(package, ROOT / PACKAGES[package])
    assert sum(map(len, graph.values())) > len(graph)
    found = circles(graph)
    assert not found, sorted(map(sorted, found))


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"d"}}) == {frozenset("abc")}
    assert circles({"a": {"b"}, "b": {"c"}}) == set()


def imported_at_once(folder: str) -> Iterator[tuple[Path, str]]:
    """The modules of Byline that a folder's modules import when they are loaded, not inside functions or for types.

    Yields:
        A file, and a module that it imports.
    """
    for path, tree in sources(folder):
        waiting: list[ast.AST] = list(tree.body)
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.ImportFrom) and node.module == "byline":
                yield from ((path, f"byline.{alias.name}") for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield path, node.module
            elif isinstance(node, ast.Import):
                yield from ((path, alias.name) for alias in node.names)
            elif isinstance(node, ast.If) and ast.unparse(node.test) != "TYPE_CHECKING":
                waiting += node.body


def test_wire_documents_import_no_code_but_errors() -> None:
    for path, module in imported_at_once("byline/api"):
        if module.partition(".")[0].startswith("byline"):
            pure = module.startswith(("byline.api.", "byline.names.")) or module == "byline.errors"
            assert pure, (path, module)


def test_the_client_imports_documents_and_errors_alone() -> None:
    for path, module in imported_at_once("byline/client"):
        root = module.partition(".")[0]
        assert root not in {"torch", "faiss", "numpy", "byline_service", "byline_indexer"}, (path, module)
        if root == "byline":
            assert module.startswith(("byline.api.", "byline.client")) or module in {
                "byline.errors",
                "byline.version",
            }, (path, module)
