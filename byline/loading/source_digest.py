"""Digest Python sources by what they do: comments, layout, docstrings and the names of variables and files do not count.

Two digests are equal where the syntax trees are, up to names that only their own source uses (`source_scopes`). Whether two
pieces of code with other trees compute the same is not asked: they are another source.
"""

import ast
import hashlib
from collections.abc import Iterator, Mapping, Sequence

from byline.loading.source_scopes import Comprehension, Function, Scope, Scopes, parameters

ENTRY = ""
"""Name of the module that the others are imported by."""
_LEFT_OUT = {"ctx", "type_comment", "kind", "type_ignores"}


def sources_digest(sources: Mapping[str, bytes], function: str) -> str:
    """Digest a module with the modules of the same author that it imports.

    Args:
        sources: Module name -> content of its file; `ENTRY` for the one that the others are imported by. A package's
            name ends in `.__init__`.
        function: The function of `ENTRY` that is called.

    Returns:
        64 hexadecimal characters.
    """
    try:
        words = _words(sources, function)
    except RecursionError:  # expressions that are nested deeply count as they are written
        words = [part for name in sorted(sources) for part in (name, _sha256(sources[name]))]
    digest = hashlib.sha256()
    for word in words:
        digest.update(f"{len(word)}:{word};".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _words(sources: Mapping[str, bytes], function: str) -> list[str]:
    trees = {name: _tree(content) for name, content in sources.items()}
    program = _Program({name: tree for name, tree in trees.items() if tree is not None})
    others = [
        part for name in sorted(trees) if trees[name] is None for part in (name, _sha256(sources[name]))
    ]
    return [*program.words(function), *others]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _tree(content: bytes) -> ast.Module | None:
    """Parse a source. None for what is no Python: a compiled module."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return None
    tree.body = [statement for statement in tree.body if not _is_script(statement)]
    return tree


def _is_script(statement: ast.stmt) -> bool:
    """Tell whether a statement runs only where its file is the program: `if __name__ == "__main__":`."""
    return (
        isinstance(statement, ast.If)
        and not statement.orelse
        and ast.unparse(statement.test) in {"__name__ == '__main__'", "'__main__' == __name__"}
    )


class _Program:
    """Modules with their scopes, and the numbers of what they bind, in the order in which these come up."""

    def __init__(self, trees: Mapping[str, ast.Module]) -> None:
        self._trees = trees
        self._scopes = {name: Scopes(tree) for name, tree in trees.items()}
        every = list(self._scopes.values())
        self._literal = any(each.looked_up for each in every)
        self._fixed = {name for each in every for name in each.fixed}
        if any(each.unpacks for each in every):
            self._fixed |= {name for each in every for name in each.parameters}
        self._numbers: dict[tuple[Scope, str], int] = {}
        self._modules: list[str] = [ENTRY]

    def words(self, function: str) -> Iterator[str]:
        """List the words that make the digest.

        Yields:
            Kinds of nodes, fields, constants, and names or the numbers that stand for them.
        """
        for place, name in enumerate(self._modules):  # grows while modules that are imported come up
            yield f"module {name if self._literal else place}"
            if name in self._trees:
                yield from _Writer(self, name, self._scopes[name].of).words(self._trees[name])
        for name in sorted(self._trees.keys() - set(self._modules)):
            yield f"module {name}"
            yield from _Writer(self, name, self._scopes[name].of).words(self._trees[name])
        yield from (
            "calls",
            self.name(function, self._scopes[ENTRY].top) if ENTRY in self._scopes else function,
        )

    @property
    def keeps_texts(self) -> bool:
        """Whether the code may read annotations and docstrings."""
        return self._literal

    def name(self, name: str, scope: Scope) -> str:
        """Write a name: the number of what binds it, or itself where it may be looked up."""
        binding = None if self._literal or name in self._fixed else scope.find(name)
        if binding is None:
            return f"name {name}"
        return f"#{self._numbers.setdefault((binding, name), len(self._numbers))}"

    def module(self, name: str) -> str | None:
        """Number one of the program's own modules. None for others."""
        found = next((each for each in (name, f"{name}.__init__") if each in self._trees), None)
        if found is None or self._literal:
            return None
        if found not in self._modules:
            self._modules.append(found)
        return f"module {self._modules.index(found)}"

    def member(self, module: str, name: str) -> str:
        """Write what one of the program's own modules binds under a name."""
        found = module if module in self._trees else f"{module}.__init__"
        return self.name(name, self._scopes[found].top)


class _Writer:
    """Writes one module's tree."""

    def __init__(self, program: _Program, module: str, scopes: Mapping[ast.AST, Scope]) -> None:
        self._program, self._module, self._scopes = program, module, scopes
        self._here: Scope

    def words(self, tree: ast.Module) -> Iterator[str]:
        self._here = self._scopes[tree]
        yield from self._body(tree.body)

    def _body(self, statements: Sequence[ast.stmt]) -> Iterator[str]:
        # Those that do nothing, as docstrings, are left out.
        for statement in statements:
            text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            if not isinstance(statement, ast.Pass) and not (text and not self._program.keeps_texts):
                yield from self._node(statement)
        yield "end"

    def _node(self, node: ast.AST) -> Iterator[str]:
        node = self._unannotated(node)
        yield type(node).__name__
        match node:
            case ast.Name():
                yield self._program.name(node.id, self._here)
            case ast.Constant():
                yield f"{type(node.value).__name__} {node.value!r}"
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                yield from self._function(node)
            case ast.ClassDef():
                yield from self._class(node)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                yield from self._comprehension(node)
            case ast.Import() | ast.ImportFrom():
                yield from self._import(node)
            case ast.Global() | ast.Nonlocal():
                yield from (self._program.name(name, self._here) for name in node.names)
            case _:
                for name, value in ast.iter_fields(node):
                    yield from self._field(name, value)

    def _unannotated(self, node: ast.AST) -> ast.AST:
        """Leave out an annotation that nothing reads: fields of classes are declared by theirs."""
        read = self._here.is_class or self._program.keeps_texts
        if read or not isinstance(node, ast.AnnAssign) or node.value is None:
            return node
        return ast.Assign(targets=[node.target], value=node.value)

    def _class(self, node: ast.ClassDef) -> Iterator[str]:
        yield node.name
        for outside in (*node.decorator_list, *node.bases, *node.keywords):
            yield from self._node(outside)
        outer, self._here = self._here, self._scopes[node]
        yield from self._body(node.body)
        self._here = outer

    def _field(self, name: str, value: object) -> Iterator[str]:
        if name in _LEFT_OUT or value is None or value == []:
            return
        yield name
        if isinstance(value, ast.AST):
            yield from self._node(value)
        elif isinstance(value, list) and isinstance(value[0], ast.stmt):
            yield from self._body(value)
        elif isinstance(value, list):
            for part in value:
                yield from self._field("", part) if isinstance(part, ast.AST | str) else ["nothing"]
            yield "end"
        elif isinstance(value, str) and name in {"name", "rest"}:  # of an error, of a pattern
            yield self._program.name(value, self._here)
        else:
            yield f"{type(value).__name__} {value!r}"

    def _function(self, node: Function | ast.Lambda) -> Iterator[str]:
        # Annotations count where a decorator may read them.
        decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
        if not isinstance(node, ast.Lambda):
            yield self._program.name(node.name, self._here)
        yield from self._field("decorators", decorators)
        yield from self._field("defaults", node.args.defaults)
        yield from self._field("keyword defaults", node.args.kw_defaults)
        annotated = bool(decorators) or self._program.keeps_texts
        if annotated and not isinstance(node, ast.Lambda):
            yield from self._field("returns", node.returns)
        for parameter in parameters(node.args) if annotated else []:
            yield from self._field("annotation", parameter.annotation)
        outer, self._here = self._here, self._scopes[node]
        for kind in ("posonlyargs", "args", "vararg", "kwonlyargs", "kwarg"):
            found = getattr(node.args, kind)
            yield kind
            for parameter in found if isinstance(found, list) else [found] if found else []:
                yield self._program.name(parameter.arg, self._here)
        yield from self._node(node.body) if isinstance(node, ast.Lambda) else self._body(node.body)
        self._here = outer

    def _comprehension(self, node: Comprehension) -> Iterator[str]:
        # Its first source is read outside of it.
        yield from self._node(node.generators[0].iter)
        outer, self._here = self._here, self._scopes[node]
        for place, each in enumerate(node.generators):
            yield f"for {each.is_async}"
            yield from self._node(each.target)
            yield from self._field("in", each.iter if place else None)
            yield from self._field("ifs", each.ifs)
        values = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        for value in values:
            yield from self._node(value)
        self._here = outer

    def _import(self, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
        # Own modules by their numbers, others by their names.
        for alias in node.names:
            short = alias.asname or alias.name.partition(".")[0]
            if isinstance(node, ast.Import):
                yield self._program.module(alias.name) or alias.name
                yield "whole" if alias.asname else "first"
            else:
                source = self._absolute(node)
                below = self._program.module(f"{source}.{alias.name}")
                own = self._program.module(source)
                yield below or own or source
                if below is None:
                    yield self._program.member(source, alias.name) if own else alias.name
            yield self._program.name(short, self._here)

    def _absolute(self, node: ast.ImportFrom) -> str:
        """Return the full name of the module that is imported from."""
        if not node.level:
            return node.module or ""
        parts = self._module.split(".")[: -node.level]
        return ".".join([*parts, *([node.module] if node.module else [])])
