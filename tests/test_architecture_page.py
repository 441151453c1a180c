"""`docs/architecture.md` describes the code as it is: its paths, names, layers and picture."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FOLDERS = {
    "byline": "byline",
    "byline_indexer": "indexer/byline_indexer",
    "byline_service": "service/byline_service",
}
CODE = re.compile(r"`([^`]+)`")
MOST_WORDS = 3000
SVG = "{http://www.w3.org/2000/svg}"


def section(title: str) -> str:
    return PAGE.split(f"\n{title}\n", 1)[1].split("\n## ", 1)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of a table's rows, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "`" in line]


def is_path(code: str) -> bool:
    return "/" in code and re.fullmatch(r"[\w./-]+", code) is not None


PATHS = sorted({code for code in CODE.findall(PAGE) if is_path(code)})
MODULES = sorted({code for code in CODE.findall(PAGE) if re.fullmatch(r"byline(_\w+)?(\.\w+)+", code)})
NAMES = sorted(
    {code for code in CODE.findall(PAGE) if re.fullmatch(r"[A-Z]\w*[a-z]\w*(\.\w+)?|\w+_\w+", code)}
)
STEPS = [
    (path, name)
    for title in ("## The way of one training example", "## The way of one question")
    for _, code, _ in rows(section(title))
    for part in re.findall(r"`[\w/]+\.py`(?:,? `[\w.]+`)+", code)
    for path, *names in [CODE.findall(part)]
    for name in names
]


@cache
def defined(path: Path) -> set[str]:
    """Functions and classes of a module, and methods as `Class.method`; fields of classes too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            for part in node.body:
                if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                    found.add(f"{node.name}.{part.name}")
                elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                    found.add(f"{node.name}.{part.target.id}")
    return found


@cache
def words_of_the_code() -> set[str]:
    files = [path for folder in FOLDERS.values() for path in (ROOT / folder).rglob("*.py")]
    return set().union(*(re.findall(r"\w+", path.read_text(encoding="utf-8")) for path in files))


@pytest.mark.parametrize("path", PATHS)
def test_a_path_exists(path: str) -> None:
    found = ROOT / path
    assert found.is_dir() if path.endswith("/") else found.is_file()


@pytest.mark.parametrize("name", MODULES)
def test_a_module_or_public_name_exists(name: str) -> None:
    package, *parts = name.split(".")
    module = (ROOT / FOLDERS[package]).joinpath(*parts)
    init = (ROOT / FOLDERS[package] / "__init__.py").read_text(encoding="utf-8")
    assert module.with_suffix(".py").is_file() or module.is_dir() or f'"{parts[-1]}"' in init


@pytest.mark.parametrize(("path", "name"), STEPS)
def test_a_step_names_code_of_its_module(path: str, name: str) -> None:
    assert name in defined(ROOT / path)


def test_every_step_names_code() -> None:
    assert len(STEPS) >= len(rows(section("## The way of one training example"))) + 12
    for title in ("## The way of one training example", "## The way of one question"):
        steps = rows(section(title))
        assert [step.split(".")[0] for step, *_ in steps] == [str(n + 1) for n in range(len(steps))]
        assert {CODE.findall(code)[0] for _, code, _ in steps} <= {path for path, _ in STEPS}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_stands_in_the_code(name: str) -> None:
    owner, _, attribute = name.partition(".")
    if attribute:
        every = [path for folder in FOLDERS.values() for path in (ROOT / folder).rglob("*.py")]
        assert any(name in defined(path) for path in every)
    assert owner in words_of_the_code()


def test_the_shapes_of_a_question_are_numbered() -> None:
    numbered = re.findall(r"\*\*(\d)\*\* `(\w+)`", section("## The way of one question"))
    counted = (ROOT / "tests/service/attributions/test_shapes.py").read_text(encoding="utf-8")
    shapes = re.search(r"^SHAPES = \[(.*)\]$", counted, re.MULTILINE)
    assert shapes is not None
    assert [name for _, name in numbered] == shapes[1].split(", ")
    assert [int(number) for number, _ in numbered] == list(range(1, len(numbered) + 1))


@pytest.mark.parametrize("package", FOLDERS)
def test_the_layers_are_those_of_the_contracts(package: str) -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = [each for each in config["tool"]["importlinter"]["contracts"] if each["type"] == "layers"]
    (layers,) = [
        each["layers"]
        for each in contracts
        if (each.get("containers") or [each["layers"][0].split(".")[0]])[0] == package
    ]
    wanted = [{name.strip().removeprefix(f"{package}.") for name in layer.split("|")} for layer in layers]
    table = section("## The layers").split(f"\n### {package}\n", 1)[1].split("\n### ", 1)[0]
    listed = [
        {path.removeprefix(f"{FOLDERS[package]}/").removesuffix("/").removesuffix(".py") for path in paths}
        for paths in (CODE.findall(folder) for folder, *_ in rows(table))
    ]
    assert listed == wanted


def test_the_picture_is_shown_and_readable_in_both_schemes() -> None:
    (file,) = re.findall(r"!\[[^\]]+\]\((images/[\w.]+)\)", PAGE)
    text = (ROOT / "docs" / file).read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)  # noqa: S314 - a file of this repository
    assert root.tag == f"{SVG}svg"
    assert root.findtext(f"{SVG}title")
    assert "prefers-color-scheme: dark" in text
    drawn = {each.text for each in root.iter(f"{SVG}text")}
    training = {"Task", "plan", "survey", "units", "executor", "index", "publish"}
    question = {"HTTP or Python", "request", "admission", "queue", "compute thread", "search", "answer"}
    assert training | question <= drawn


def test_the_page_is_short_and_begins_with_the_walks() -> None:
    assert len([word for word in PAGE.split() if re.search(r"\w", word)]) < MOST_WORDS
    headings = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    assert headings[:2] == ["The way of one training example", "The way of one question"]
