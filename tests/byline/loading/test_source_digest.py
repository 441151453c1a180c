"""What a source does decides on its digest: comments, layout and names do not, and everything else does."""

from pathlib import Path

import pytest

from byline.loading.source_digest import ENTRY, sources_digest
from byline.loading.task_file import load_task

LOSS = '''
"""A module."""
import torch
import torch.nn.functional as F
from losses import SCALE, scaled

WIDTH: int = 3
values = [SCALE, WIDTH]

class Net(torch.nn.Module):
    """A net."""
    width: int = 3
    def __init__(self, size):
        super().__init__()
        self.layer = torch.nn.Linear(size, 1)

    def forward(self, x):
        return self.layer(x)

def loss(model, batch):
    """Return it."""
    total = 0
    for part in batch:
        try:
            total = total + F.relu(model(part)) * scaled(WIDTH)
        except ValueError as error:
            raise RuntimeError("no") from error
    squares = [part * part for part in batch if (lambda each: each > 0)(part)]
    return total, squares

def other(model, batch):
    return -loss(model, batch)[0]

def task():
    smoothing = 0.1
    def inner(model, batch):
        nonlocal smoothing
        return loss(model, batch, scale=smoothing)
    return inner, other

if __name__ == "__main__":
    print("run")
'''
LOSSES = "SCALE = 2.0\ndef scaled(x):\n    return x * SCALE\n"


def digest(source: str = LOSS, losses: str = LOSSES, function: str = "task", name: str = "losses") -> str:
    return sources_digest({ENTRY: source.encode(), name: losses.encode()}, function)


def changed(*pairs: tuple[str, str], source: str = LOSS) -> str:
    for old, new in pairs:
        assert old in source, old
        source = source.replace(old, new)
    return source


SAME = {
    "a comment": [("    total = 0", "    # zero\n    total = 0  # begins")],
    "blank lines and layout": [("values = [SCALE, WIDTH]", "\n\nvalues = [\n    SCALE,\n    WIDTH,\n]\n")],
    "a docstring": [('"""Return it."""', '"""Another.\n\n    Text."""')],
    "no docstring": [('    """Return it."""\n', "")],
    "quotes and numbers": [('"no"', "'no'"), ("0.1", ".10")],
    "annotations": [("def loss(model, batch):", "def loss(model: Net, batch: list) -> tuple:")],
    "an annotated variable": [("    total = 0\n", "    total: float = 0\n")],
    "a local variable": [("total", "running_sum")],
    "a loop's variable": [
        ("for part in batch", "for piece in batch"),
        ("(part)", "(piece)"),
        ("part * part", "piece * piece"),
    ],
    "a parameter": [("lambda each: each > 0", "lambda e: e > 0")],
    "a function": [("other", "negative")],
    "a constant": [("WIDTH", "SIZE")],
    "an import's short name": [(" as F", " as functional"), ("F.relu", "functional.relu")],
    "an imported function's short name": [("SCALE, scaled", "SCALE, scaled as s"), ("* scaled(", "* s(")],
    "an error's name": [("as error", "as reason"), ("from error", "from reason")],
    "the script's part": [('print("run")', 'print("walk")')],
    "an enclosing function's variable": [("smoothing", "softness")],
}
OTHER = {
    "a number": [("0.1", "0.2")],
    "a sign": [("-loss", "+loss")],
    "an operator": [("total + F", "total - F")],
    "a called function": [("F.relu", "F.gelu")],
    "a default": [("def other(model, batch)", "def other(model, batch=None)")],
    "an order": [("return inner, other", "return other, inner")],
    "a variable for another": [("total = total + F", "total = part + F")],
    "two parameters that change places": [("def other(model, batch)", "def other(batch, model)")],
    "a keyword": [("scale=smoothing", "size=smoothing")],
    "an attribute": [("layer", "linear")],
    "a class": [("Net", "Network")],
    "a field's type": [("    width: int = 3", "    width: float = 3")],
    "a global in place of a local": [
        ("    smoothing = 0.1\n", ""),
        ("WIDTH: int", "smoothing = 0.1\nWIDTH: int"),
        ("nonlocal", "global"),
    ],
    "what is imported": [("import SCALE, scaled", "import SCALE as scaled, scaled as SCALE")],
    "a condition": [("each > 0", "each >= 0")],
    "a decorator": [("def other", "@torch.no_grad()\ndef other")],
    "an added statement": [("    total = 0\n", "    total = 0\n    model.train()\n")],
}


@pytest.mark.parametrize("pairs", SAME.values(), ids=SAME)
def test_what_does_not_count(pairs: list[tuple[str, str]]) -> None:
    assert digest(changed(*pairs)) == digest()


@pytest.mark.parametrize("pairs", OTHER.values(), ids=OTHER)
def test_what_counts(pairs: list[tuple[str, str]]) -> None:
    assert digest(changed(*pairs)) != digest()


def test_modules_beside_it() -> None:
    assert digest(losses="# two\n" + LOSSES) == digest()
    renamed = changed(("from losses import", "from costs import"))
    assert digest(renamed, name="costs") == digest(), "a module's file may have another name"
    both = changed(("SCALE, scaled", "FACTOR, scaled"), ("[SCALE", "[FACTOR"))
    assert digest(both, LOSSES.replace("SCALE", "FACTOR")) == digest()
    assert digest(losses=LOSSES.replace("2.0", "2.5")) != digest()
    assert digest(losses=LOSSES.replace("x * SCALE", "x / SCALE")) != digest()


def test_packages_beside_it() -> None:
    def of(below: str, sub: str = "sub", scale: str = "2.0") -> str:
        sources = {
            ENTRY: f"from own import scaled\nimport own.{sub}\ndef task(): return scaled\n",
            "own.__init__": f"from .{sub} import {below} as scaled\n",
            f"own.{sub}": f"from . import more\ndef {below}(x): return x * {scale}\n",
            "own.more": "",
        }
        return sources_digest({name: text.encode() for name, text in sources.items()}, "task")

    assert of("scaled") == of("scaled_by")
    assert of("scaled") == of("scaled", sub="below")
    assert of("scaled") != of("scaled", scale="3.0")


def test_the_called_function_counts_and_its_name_does_not() -> None:
    assert digest(function="other") != digest()
    assert digest(changed(("def task", "def declared")), function="declared") == digest()


@pytest.mark.parametrize(
    "looking",
    [
        "loss_of = globals()['loss']",
        "import sys\nloss_of = getattr(sys.modules[__name__], 'lo' + 'ss')",
        "loss_of = eval('lo' + 'ss')",
        "loss_of = vars()['loss']",
        "from inspect import getsource",
        "from losses import *",
        "shown = loss.__name__",
    ],
)
def test_names_that_code_may_look_up_count(looking: str) -> None:
    source = f"{looking}\n{LOSS}"
    assert digest(source) == digest("# comment\n" + source)
    assert digest(source) != digest(changed(("other", "negative"), source=source))


@pytest.mark.parametrize(
    ("call", "pairs"),
    [
        ("other(model=1, batch=2)", [("other(model,", "other(net,"), ("-loss(model,", "-loss(net,")]),
        ("chosen = {'other': 1}", [("def other(", "def negative("), ("inner, other", "inner, negative")]),
        (
            "rows = frame.query('x > @low and other')",
            [("def other(", "def negative("), ("inner, other", "inner, negative")],
        ),
        ("register(other)", [("other", "negative")]),
        ("register(other)", [("other(model,", "other(net,"), ("-loss(model,", "-loss(net,")]),
        ("chosen = torch.other", [("def other(", "def negative("), ("inner, other", "inner, negative")]),
        ("other(**values)", [("other(model,", "other(net,"), ("-loss(model,", "-loss(net,")]),
    ],
)
def test_names_that_are_said_elsewhere_count(call: str, pairs: list[tuple[str, str]]) -> None:
    before = f"{LOSS}\n{call}\n"
    assert digest(before) != digest(changed(*pairs, source=before))
    assert digest() == digest(changed(*pairs)), "and without what says them they do not"


def test_a_decorated_function_is_known_by_its_name_and_parameters() -> None:
    """A registry keeps it under its name, which a configuration says."""
    before = changed(("def other(", "@register\ndef other("))
    assert digest(changed(("other", "negative"), source=before)) != digest(before)
    pairs = ("other(model,", "other(net,"), ("-loss(model,", "-loss(net,")
    assert digest(changed(*pairs, source=before)) != digest(before)


def test_swapped_names_are_another_source() -> None:
    """Two functions change names: whatever asks for one by its text gets the other."""
    source = "def a(x): return x\ndef b(x): return -x\nchosen = globals()\ndef task(): return chosen['a']\n"
    swapped = source.replace("def a", "def c").replace("def b", "def a").replace("def c", "def b")
    assert sources_digest({ENTRY: source.encode()}, "task") != sources_digest(
        {ENTRY: swapped.encode()}, "task"
    )
    plain = source.replace("globals()", "{'a': a}")
    exchanged = swapped.replace("globals()", "{'a': a}")
    assert sources_digest({ENTRY: plain.encode()}, "task") != sources_digest(
        {ENTRY: exchanged.encode()}, "task"
    )


def test_shadowing_is_resolved_as_python_does() -> None:
    inner = "x = 1\ndef task(y):\n    def f():\n        return x\n    {}\n    return f\n"
    assert sources_digest({ENTRY: inner.format("x = y").encode()}, "task") != sources_digest(
        {ENTRY: inner.format("z = y").encode()}, "task"
    )


def test_what_is_no_python_counts_as_it_is() -> None:
    def of(content: bytes) -> str:
        return sources_digest({ENTRY: LOSS.encode(), "fast": content}, "task")

    assert of(b"\x00\x01") != of(b"\x00\x02")


def test_deeply_nested_expressions_count_as_they_are_written() -> None:
    long = f"def task(): return {' + '.join(['1'] * 2000)}\n"
    assert sources_digest({ENTRY: long.encode()}, "task") != sources_digest(
        {ENTRY: long[:-5].encode()}, "task"
    )


def test_every_module_of_the_house_has_a_digest() -> None:
    """Real sources: each is the same with its comments gone, and none is like another."""
    import ast

    root = Path(__file__).resolve().parents[3] / "byline"
    sources = [path.read_text() for path in sorted(root.rglob("*.py"))]
    found = {}
    for source in sources:
        own = sources_digest({ENTRY: source.encode()}, "task")
        assert own == sources_digest({ENTRY: ast.unparse(ast.parse(source)).encode()}, "task")
        found[own] = source
    assert len(found) >= len([source for source in sources if "\ndef " in source or "\nclass " in source])


def test_a_file_may_be_renamed_and_moved(folder: Path, tmp_path: Path) -> None:
    before = load_task("mytask.py:task", base=folder).digest
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (moved / "renamed.py").write_text((folder / "mytask.py").read_text().replace("neighbor", "beside"))
    (moved / "beside.py").write_text("# two\n" + (folder / "neighbor.py").read_text())
    assert load_task("renamed.py:task", base=moved).digest == before
    (moved / "beside.py").write_text("WIDTH = 3\n")
    assert load_task("renamed.py:task", base=moved).digest != before
