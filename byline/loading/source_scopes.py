"""Resolve every name of Python sources to the place that binds it, and tell which names mean nothing beyond that.

A name that only its own source uses may be another without any effect: a local variable, a function, an imported module's
short name. A name that code can look up as text may not: attributes, keywords, names of classes, words of strings, functions
with decorators or handed to a call by place.
"""

import ast
import builtins
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

Function = ast.FunctionDef | ast.AsyncFunctionDef
Some = TypeVar("Some")
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp

_BUILTINS = frozenset(dir(builtins))
_WORD = re.compile(r"[^\W\d]\w*")
_LOOKING = {"eval", "exec", "compile", "globals", "locals", "vars", "dir", "builtins", "inspect", "importlib"}
"""Names of what looks names up as text, as `globals()["loss"]` does."""
_LOOKED_AT = {
    *("__dict__", "__globals__", "__code__", "__closure__", "__annotations__", "__name__", "__qualname__"),
    *("__module__", "__doc__", "__import__", "__builtins__", "import_module", "signature"),
    *("get_type_hints", "_getframe", "currentframe", "getsource", "attrgetter", "methodcaller"),
    *(
        "validate_call",
        "validate_arguments",
        "beartype",
        "typechecked",
        "jaxtyped",
        "singledispatch",
        "script",
    ),
}
"""Attributes and names that read names, annotations or docstrings of functions and classes."""
_BY_NAME = {"getattr", "setattr", "delattr", "hasattr"}


@dataclass(eq=False)
class Scope:
    """One block of names: a module, a function, a class, a comprehension."""

    parent: "Scope | None" = None
    is_class: bool = False
    names: set[str] = field(default_factory=set)
    """Names that it binds."""
    elsewhere: dict[str, "Scope | None"] = field(default_factory=dict)
    """Names that it declares `global` (their module's scope) or `nonlocal` (None)."""

    @property
    def module(self) -> "Scope":
        """The scope of the whole module."""
        return self if self.parent is None else self.parent.module

    def find(self, name: str) -> "Scope | None":
        """Find the scope whose binding a name in this scope means. None for built-in and unknown names."""
        if name in self.elsewhere:
            declared = self.elsewhere[name]
            return declared if declared is not None else self._outer(name)
        return self if name in self.names else self._outer(name)

    def _outer(self, name: str) -> "Scope | None":
        scope = self.parent
        while scope is not None:
            if not scope.is_class and (name in scope.names or name in scope.elsewhere):
                return scope.find(name)
            scope = scope.parent
        return None


class Scopes(ast.NodeVisitor):
    """Scopes of one module, and names that must stay as they are.

    Args:
        tree: The module.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.top = Scope()
        self.of: dict[ast.AST, Scope] = {tree: self.top}
        """Module, function, lambda, class or comprehension -> its scope."""
        self.fixed: set[str] = set()
        """Names that code can look up as text."""
        self.looked_up = False
        """Whether the code looks names up in ways that its text does not show."""
        self.unpacks = False
        """Whether a call passes keywords that its text does not show."""
        self.parameters: set[str] = set()
        """Names of parameters of all functions."""
        self._functions: dict[str, set[str]] = {}
        self._handed: set[str] = set()
        self._here = self.top
        for statement in tree.body:
            self.visit(statement)
        for name in (
            self._handed & self._functions.keys()
        ):  # a registry may take its name, and call by keyword
            self.fixed.update((name, *self._functions[name]))

    def _bind(self, name: str) -> None:
        if name not in self._here.elsewhere:
            self._here.names.add(name)
        if self._here.is_class or name.startswith("__") or name in _BUILTINS:
            self.fixed.add(name)

    def _within(
        self, node: ast.AST, parts: Sequence[ast.AST], names: Sequence[str] = (), *, is_class: bool = False
    ) -> None:
        """Visit parts in a new scope that binds names."""
        outer, self._here = self._here, Scope(self._here, is_class)
        self.of[node] = self._here
        for name in names:
            self._bind(name)
        for part in parts:
            self.visit(part)
        self._here = outer

    def _visit_all(self, nodes: Iterable[ast.AST | None]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Leave annotations out where nothing reads them: outside of classes."""
        self._visit_all((node.target, node.value, node.annotation if self._here.is_class else None))

    def visit_FunctionDef(self, node: Function) -> None:
        """Bind the function's name outside, its parameters and its body inside."""
        self._bind(node.name)
        annotations = [each.annotation for each in parameters(node.args)] if node.decorator_list else []
        self._visit_all((*node.decorator_list, *_defaults(node.args), *annotations))
        self._visit_all([node.returns] if node.decorator_list else [])
        names = [parameter.arg for parameter in parameters(node.args)]
        self._functions.setdefault(node.name, set()).update(names)
        if self._here.is_class or node.decorator_list:  # called by others, perhaps by keyword
            self.fixed.update(names)
        if node.decorator_list:  # a registry takes it by its name
            self.fixed.add(node.name)
        self._function(node, node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Bind the parameters inside."""
        self._visit_all(_defaults(node.args))
        self._function(node, [node.body])

    def _function(self, node: Function | ast.Lambda, body: Sequence[ast.AST]) -> None:
        names = [parameter.arg for parameter in parameters(node.args)]
        self.parameters.update(names)
        self._within(node, body, names)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Bind the class' name outside. Libraries choose by names of classes, so these stay."""
        self._bind(node.name)
        self.fixed.add(node.name)
        self._visit_all((*node.decorator_list, *node.bases, *node.keywords))
        self._within(node, node.body, is_class=True)

    def _comprehension(self, node: Comprehension) -> None:
        self.visit(node.generators[0].iter)
        first = node.generators[0]
        inside: list[ast.AST] = [first.target, *first.ifs, *node.generators[1:]]
        values = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        self._within(node, [*inside, *values])

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        """Keep the name: in a comprehension it is bound in the function around."""
        self.fixed.add(node.target.id)
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        """Bind what is assigned; note what looks names up."""
        if node.id in _LOOKING or node.id in _LOOKED_AT:
            self.looked_up = True
        if not isinstance(node.ctx, ast.Load):
            self._bind(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Keep attributes: an object's class decides on their meaning."""
        self.fixed.add(node.attr)
        of_sys = isinstance(node.value, ast.Name) and node.value.id == "sys"
        self.looked_up |= node.attr in _LOOKED_AT or (of_sys and node.attr == "modules")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Keep keywords, and note what is handed over by place."""
        self._handed.update(each.id for each in node.args if isinstance(each, ast.Name))
        for keyword in node.keywords:
            self.unpacks |= keyword.arg is None
            self.fixed.update(_some(keyword.arg))
        if isinstance(node.func, ast.Name) and node.func.id in _BY_NAME:
            self.looked_up |= not (len(node.args) > 1 and isinstance(node.args[1], ast.Constant))
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        """Leave docstrings out."""
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Keep the words of a string: a query or an expression may look them up."""
        if isinstance(node.value, str):
            self.fixed.update(_WORD.findall(node.value))

    def visit_Global(self, node: ast.Global) -> None:
        """Bind in the module."""
        self._here.module.names.update(node.names)
        self._here.elsewhere.update(dict.fromkeys(node.names, self._here.module))

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        """Bind in a function around."""
        self._here.elsewhere.update(dict.fromkeys(node.names, None))

    def visit_Import(self, node: ast.Import) -> None:
        """Bind short names."""
        for alias in node.names:
            first = alias.name.partition(".")[0]
            self.looked_up |= first in _LOOKING or (first == "sys" and alias.asname is not None)
            self._bind(alias.asname or first)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Bind names. A star binds names that the text does not show."""
        first = (node.module or "").partition(".")[0]
        for alias in node.names:
            self.looked_up |= alias.name in {"*", *_LOOKING, *_LOOKED_AT} or first in {*_LOOKING, "sys"}
            self._bind(alias.asname or alias.name)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        """Bind the error."""
        for name in _some(node.name):
            self._bind(name)
        self.generic_visit(node)

    def _pattern(self, node: ast.AST) -> None:
        for name in (getattr(node, "name", None), getattr(node, "rest", None)):
            if name is not None:
                self._bind(name)
        self.fixed.update(getattr(node, "kwd_attrs", ()))
        self.generic_visit(node)

    visit_MatchAs = visit_MatchStar = visit_MatchMapping = visit_MatchClass = _pattern


def parameters(arguments: ast.arguments) -> list[ast.arg]:
    """List all parameters of a function."""
    return [
        *arguments.posonlyargs,
        *arguments.args,
        *_some(arguments.vararg),
        *arguments.kwonlyargs,
        *_some(arguments.kwarg),
    ]


def _defaults(arguments: ast.arguments) -> list[ast.expr | None]:
    return [*arguments.defaults, *arguments.kw_defaults]


def _some(value: Some | None) -> list[Some]:
    return [] if value is None else [value]
