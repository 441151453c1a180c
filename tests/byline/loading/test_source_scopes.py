"""Names mean what Python's own compiler says they mean: `symtable` is the reference."""

import ast
import symtable
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from byline.loading.source_scopes import Scope, Scopes

ROOT = Path(__file__).resolve().parents[3]
SOURCES = sorted([*(ROOT / "byline").rglob("*.py"), *(ROOT / "examples").rglob("*.py")])
TRICKY = """
x = y = z = 1
def outer(a, *rest, b=x, **more):
    global y
    y, local = 2, [x for x in rest if x for q in range(x)]
    def inner():
        nonlocal local
        local = a
        return (lambda x, k=local: x + k + z), {k: v for k, v in more.items()}
    class Held:
        field = x
        def method(self):
            return field, a, __class__
    for i, (j, *k) in rest:
        with open(i) as handle, (open(j)) as (one, two):
            import os.path, sys as system
            from a import b as c
    try:
        del local
    except (ValueError, TypeError) as error:
        print(error)
    match a:
        case {"k": w, **others} | [w, *others] if w:
            pass
        case Held(field=g) as h:
            pass
    return inner
"""


def functions(table: symtable.SymbolTable) -> Iterator[symtable.Function]:
    for child in table.get_children():
        if isinstance(child, symtable.Function):
            yield child
        yield from functions(child)


Bound = list[tuple[str, list[str]]]


def expected(source: str) -> Bound:
    """Names that each function binds, by the compiler."""
    tables = functions(symtable.symtable(source, "source", "exec"))
    return comparable((table.get_name().strip("<>"), set(table.get_locals())) for table in tables)


def comparable(found: Iterable[tuple[str, set[str]]]) -> Bound:
    return sorted((name, sorted(bound - {".0", "__class__"})) for name, bound in found)


def found(source: str) -> Bound:
    tree = ast.parse(source)
    names = {ast.Lambda: "lambda", ast.ListComp: "listcomp", ast.SetComp: "setcomp", ast.DictComp: "dictcomp"}
    return comparable(
        (getattr(node, "name", names.get(type(node), "genexpr")), scope.names)
        for node, scope in Scopes(tree).of.items()
        if not isinstance(node, ast.Module | ast.ClassDef)
    )


def test_functions_bind_what_the_compiler_says() -> None:
    assert found(TRICKY) == expected(TRICKY)
    compared = 0
    for path in SOURCES:
        source = path.read_text(encoding="utf-8")
        if ":=" not in source:  # a walrus' name is kept as it is
            assert found(source) == expected(source), path
            compared += len(found(source))
    assert compared > 1000


def scope_of(scopes: Scopes, name: str) -> Scope:
    return next(scope for node, scope in scopes.of.items() if getattr(node, "name", None) == name)


def test_a_name_is_found_where_python_finds_it() -> None:
    scopes = Scopes(ast.parse(TRICKY))
    inner, method, outer = (scope_of(scopes, name) for name in ("inner", "method", "outer"))
    assert inner.find("local") is outer, "nonlocal"
    assert inner.find("a") is outer
    assert inner.find("z") is scopes.top
    assert outer.find("y") is scopes.top, "global"
    assert method.find("field") is None, "a function does not see the names of its class"
    assert outer.find("x") is scopes.top, "a comprehension keeps its names"
    assert inner.find("print") is None


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("a.b", "b"),
        ("f(b=1)", "b"),
        ("x = 'b'", "b"),
        ("x = 'a.b'", "b"),
        ("x = 'a sentence with b'", "b"),
        ("@g\ndef b(): pass", "b"),
        ("def b(): pass\ng(b)", "b"),
        ("def f(b): pass\ng(f)", "b"),
        ("class b: pass", "b"),
        ("class A:\n    b = 1", "b"),
        ("class A:\n    def f(self, b): pass", "b"),
        ("@g\ndef f(b): pass", "b"),
        ("(b := 1)", "b"),
        ("len = 1", "len"),
        ("__b = 1", "__b"),
    ],
)
def test_names_that_stay(source: str, name: str) -> None:
    assert name in Scopes(ast.parse(source)).fixed


@pytest.mark.parametrize(
    "source", ["b = 1", "def f(b): pass", "'a docstring with b'", "import a as b", "for b in c: pass"]
)
def test_names_that_may_change(source: str) -> None:
    assert "b" not in Scopes(ast.parse(source)).fixed


@pytest.mark.parametrize(
    ("source", "looks"),
    [
        ("globals()", True),
        ("import inspect", True),
        ("from importlib import import_module as f", True),
        ("import sys as s", True),
        ("sys.modules", True),
        ("model.modules()", False),
        ("getattr(a, 'b')", False),
        ("getattr(a, b)", True),
        ("from a import *", True),
        ("f.__name__", True),
        ("model.eval()", False),
        ("torch.compile(model)", False),
    ],
)
def test_looking_names_up(source: str, looks: bool) -> None:
    assert Scopes(ast.parse(source)).looked_up is looks
