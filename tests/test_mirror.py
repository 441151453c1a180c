"""Every module of more than 60 lines has a test module of its own name, at the place of its own path."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "byline": ROOT / "byline",
    "indexer": ROOT / "indexer/byline_indexer",
    "service": ROOT / "service/byline_service",
}
LINES = 60
SHARE = 0.65
"""Modules of more than `LINES` lines that must have their mirror, at least."""

LISTED = Path(__file__).with_name("modules_without_mirror.txt").read_text(encoding="utf-8").split()
"""Test modules that are missing, as paths below `tests/`."""
WITHOUT_MIRROR = set(LISTED)
EXCEPTIONS = 90
"""Lines of the list. The number may only be lowered: a module without its test of its name is not added."""


def mirror(package: str, module: Path) -> str:
    """The path below `tests/` where the test of a module belongs."""
    path = module.relative_to(PACKAGES[package])
    names = {"__init__": module.parent.name, "__main__": "main"}
    return f"{package}/{path.with_name(f'test_{names.get(path.stem, path.stem)}.py')}"


def mirrors() -> list[str]:
    """The test modules that belong to modules of more than `LINES` lines."""
    return sorted(
        mirror(package, module)
        for package, folder in PACKAGES.items()
        for module in folder.rglob("*.py")
        if len(module.read_text(encoding="utf-8").splitlines()) > LINES
    )


def missing() -> set[str]:
    return {path for path in mirrors() if not (ROOT / "tests" / path).exists()}


def test_modules_without_a_test_of_their_name_are_listed() -> None:
    new = missing() - WITHOUT_MIRROR
    assert not new, f"write these test modules (the list of exceptions only shrinks): {sorted(new)}"


def test_the_list_of_exceptions_holds_nothing_else() -> None:
    written = WITHOUT_MIRROR - missing()
    assert not written, f"delete these lines of modules_without_mirror.txt: {sorted(written)}"


def test_the_list_of_exceptions_only_shrinks() -> None:
    assert len(LISTED) == len(WITHOUT_MIRROR), "a line of modules_without_mirror.txt is there twice"
    assert len(LISTED) <= EXCEPTIONS, "write a test of the module's name in place of a new line"
    assert len(LISTED) == EXCEPTIONS, f"lower EXCEPTIONS to {len(LISTED)}: lines were deleted"


def test_enough_modules_have_their_mirror() -> None:
    share = 1 - len(missing()) / len(mirrors())
    assert share >= SHARE, f"{share:.0%} of the modules of more than {LINES} lines have a test of their name"
