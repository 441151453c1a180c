"""The digest of a Task in memory: the same for the same code and values, another for whatever an index depends on."""

import copy
import functools
import re
import subprocess
import sys
import threading
import warnings
import weakref
from argparse import Namespace
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from transformers import GPT2Config, GPT2LMHeadModel

from byline.api.example import Example
from byline.errors import InvalidTask
from byline.loading.memory import task_in_memory
from byline.loading.task_file import load_task
from byline.task import Checkpoint, LayerSelection, Task

TINY = Path(__file__).parents[2] / "indexer" / "tiny_task.py"
TEMPERATURE = 1.0


def helper(values: Tensor) -> Tensor:
    return values / TEMPERATURE


def loss(model: nn.Module, batch: list[Tensor]) -> Tensor:
    return helper((model(batch[0])[:, 0] - batch[1]).square())


def tempered(temperature: float) -> Callable[..., Tensor]:
    return lambda model, batch: loss(model, batch) / temperature


def powered(model: nn.Module, batch: list[Tensor], *, power: float) -> Tensor:
    return loss(model, batch) ** power


@dataclass
class Weighted:
    """A loss with a state of its own."""

    weight: float

    def __call__(self, model: nn.Module, batch: list[Tensor]) -> Tensor:
        return loss(model, batch) * self.weight

    def of(self, model: nn.Module, batch: list[Tensor]) -> Tensor:
        return self(model, batch)


def task(**changes: Any) -> Task:
    made = Task(
        name="small",
        model=lambda: nn.Linear(2, 1),
        checkpoints=[Checkpoint(weights={"weight": torch.zeros(1, 2), "bias": torch.zeros(1)})],
        train_set=[(torch.zeros(2), torch.zeros(()))],
        describe=lambda row: Example(id=str(row)),
        loss=loss,
    )
    return replace(made, **changes)


def digest(**changes: Any) -> str:
    return task_in_memory(task(**changes)).digest


def test_a_task_made_twice_has_one_digest_and_no_reference() -> None:
    assert digest() == digest()
    assert task_in_memory(task()).reference is None
    assert digest(loss=tempered(2.0)) == digest(loss=tempered(2.0))
    assert digest(loss=Weighted(2.0)) == digest(loss=Weighted(2.0))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"loss": lambda model, batch: loss(model, batch) * 2},
        {"loss": tempered(2.0)},
        {"loss": Weighted(1.0)},
        {"loss": Weighted(1.0).of},
        {"loss": functools.partial(powered, power=2.0)},
        {"model": lambda: nn.Linear(2, 1, bias=False)},
        {"model": lambda: nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.1))},
        {"targets": {"margin": lambda model, batch: -loss(model, batch)}},
        {"layers": LayerSelection(exclude=("bias",))},
        {"collate": list},
    ],
)
def test_whatever_an_index_depends_on_changes_the_digest(changes: dict[str, Any]) -> None:
    assert digest(**changes) != digest()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (tempered(2.0), tempered(3.0)),
        (Weighted(2.0), Weighted(3.0)),
        (Weighted(2.0).of, Weighted(3.0).of),
        (functools.partial(powered, power=2.0), functools.partial(powered, power=3.0)),
    ],
)
def test_values_that_a_loss_holds_are_part_of_it(first: Any, second: Any) -> None:
    assert digest(loss=first) != digest(loss=second)


def test_values_that_a_helper_reads_are_part_of_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest()
    monkeypatch.setattr(sys.modules[__name__], "TEMPERATURE", 2.0)
    assert digest() != before


def test_numbers_of_the_model_that_is_built_are_left_to_its_checkpoints() -> None:
    net = nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.1))
    before = digest(model=lambda: net)
    with torch.no_grad():
        net[0].weight.zero_()
    assert digest(model=lambda: net) == before
    net[1].p = 0.2
    assert digest(model=lambda: net) != before


def test_numbers_of_a_network_that_a_loss_asks_are_part_of_it() -> None:
    teacher = nn.Linear(2, 1)

    def distilled(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return mse_loss(model(batch[0]), teacher(batch[0]), reduction="none")[:, 0]

    before = digest(loss=distilled)
    with torch.no_grad():
        teacher.weight.add_(1.0)
    assert digest(loss=distilled) != before


class Layered(nn.Module):
    """A layer with a field of any kind, and a buffer that no checkpoint has."""

    def __init__(self, field: Any = None, buffer: float = 1.0) -> None:
        super().__init__()
        self.linear, self.field = nn.Linear(2, 1), field
        self.register_buffer("scale", torch.full((2,), buffer), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x * self.scale)


def hooked(factor: float) -> nn.Module:
    model = Layered()
    model.linear.register_forward_hook(lambda module, inputs, output: output * factor)
    return model


def scaled(factor: float, x: Tensor) -> Tensor:
    return x * factor


def patched(factor: float) -> nn.Module:
    model = Layered()
    model.forward = functools.partial(scaled, factor)
    return model


def shared_layers(order: tuple[int, ...]) -> nn.Module:
    layers = (nn.Linear(2, 2), nn.Tanh())
    return nn.Sequential(*(layers[place] for place in order))


def tied(same: bool) -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    if same:
        model[1].weight = model[0].weight
    return model


def frozen(part: int) -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[part].requires_grad_(requires_grad=False)
    return model


def normed(eps: float) -> nn.Module:
    return nn.utils.parametrizations.spectral_norm(nn.Linear(2, 2), eps=eps)


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module]]] = {
    "stride": (lambda: nn.Conv2d(1, 4, 3), lambda: nn.Conv2d(1, 4, 3, stride=2)),
    "kernel": (lambda: nn.MaxPool2d((2, 1)), lambda: nn.MaxPool2d((1, 2))),
    "function": (lambda: Layered(torch.relu), lambda: Layered(torch.tanh)),
    "python function": (
        lambda: Layered(nn.functional.gelu),
        lambda: Layered(nn.functional.leaky_relu),
    ),
    "list": (lambda: Layered([1.0]), lambda: Layered([3.0])),
    "mapping": (lambda: Layered({"a": 1}), lambda: Layered({"a": 2})),
    "set": (lambda: Layered({"a", "b"}), lambda: Layered({"a", "c"})),
    "set of functions": (lambda: Layered({helper, loss}), lambda: Layered({helper, powered})),
    "mapping of functions": (
        lambda: Layered({helper: 1, loss: 2}),
        lambda: Layered({helper: 2, loss: 1}),
    ),
    "type of numbers": (lambda: Layered(torch.float32), lambda: Layered(torch.float64)),
    "slice": (lambda: Layered(slice(0, 1)), lambda: Layered(slice(0, 2))),
    "namespace": (lambda: Layered(Namespace(scale=1.0)), lambda: Layered(Namespace(scale=2.0))),
    "configuration": (lambda: small_gpt("gelu"), lambda: small_gpt("relu")),
    "own object": (lambda: Layered(Weighted(1.0)), lambda: Layered(Weighted(2.0))),
    "bound method": (lambda: Layered(Weighted(1.0).of), lambda: Layered(Weighted(2.0).of)),
    "tensor": (lambda: Layered(torch.ones(2)), lambda: Layered(torch.zeros(2))),
    "layer in a list": (lambda: Layered([constant(1.0)]), lambda: Layered([constant(2.0)])),
    "buffer": (lambda: Layered(buffer=1.0), lambda: Layered(buffer=5.0)),
    "hook": (lambda: hooked(1.0), lambda: hooked(2.0)),
    "forward": (lambda: patched(1.0), lambda: patched(2.0)),
    "shared layer": (lambda: shared_layers((0, 1)), lambda: shared_layers((0, 1, 1))),
    "tied weights": (lambda: tied(same=True), lambda: tied(same=False)),
    "frozen layer": (lambda: frozen(0), lambda: frozen(1)),
    "parametrization": (lambda: normed(1e-12), lambda: normed(1e-3)),
}


def small_gpt(activation: str) -> nn.Module:
    config = GPT2Config(
        n_layer=1,
        n_embd=4,
        n_head=1,
        vocab_size=5,
        bos_token_id=1,
        eos_token_id=1,
        activation_function=activation,
    )
    return GPT2LMHeadModel(config)


def constant(value: float) -> nn.Module:
    layer = nn.Linear(1, 1)
    nn.init.constant_(layer.weight, value)
    nn.init.constant_(layer.bias, value)
    return layer


def of_object(model: nn.Module) -> str:
    return digest(model=lambda: model)


@pytest.mark.parametrize("kind", MODELS)
def test_all_that_a_model_is_made_of_is_part_of_it(kind: str) -> None:
    first, second = MODELS[kind]
    assert of_object(first()) == of_object(first())
    assert of_object(first()) == of_object(copy.deepcopy(first()))
    assert of_object(first()) != of_object(second())


def test_a_field_that_names_a_parameter_leaves_its_numbers_to_the_checkpoints() -> None:
    model, other = Layered(), Layered()
    model.field, other.field = [model.linear.weight, model.linear], [other.linear.weight, other.linear]
    assert of_object(model) == of_object(other)
    other.field[1] = constant(1.0)
    assert of_object(model) != of_object(other)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_weights_that_are_computed_in_each_pass_are_left_out() -> None:
    made = [nn.utils.weight_norm(nn.Linear(2, 2)), nn.utils.weight_norm(nn.Linear(2, 2))]
    assert of_object(made[0]) == of_object(made[1])


def times(value: Any) -> Callable[..., Tensor]:
    return lambda model, batch: loss(model, batch) * len(str(value))


class Slotted:
    """A loss whose state is in slots."""

    __slots__ = ("weight",)

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def __call__(self, model: nn.Module, batch: list[Tensor]) -> Tensor:
        return loss(model, batch) * self.weight


@dataclass(slots=True)
class SlottedFields:
    """Options of a loss, in slots."""

    weight: float


class Named(list[float]):
    """A list with a field."""

    def __init__(self, field: float) -> None:
        super().__init__([1.0])
        self.field = field


class Locked:
    """An object that shows its fields, one of which cannot be read."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


def with_private_class_attribute(value: float) -> Callable[..., Tensor]:
    class Private:
        _t = value

        def __call__(self, model: nn.Module, batch: list[Tensor]) -> Tensor:
            return loss(model, batch) * self._t

    return Private()


def with_decorated_method(factor: float) -> Callable[..., Tensor]:
    def scale(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        @functools.wraps(function)
        def wrapper(*inputs: Any) -> Tensor:
            return function(*inputs) * factor

        return wrapper

    class Decorated:
        @scale
        def __call__(self, model: nn.Module, batch: list[Tensor]) -> Tensor:
            return loss(model, batch)

    return Decorated()


def wrapped_installed(factor: float) -> Callable[..., Tensor]:
    @functools.wraps(mse_loss)
    def wrapper(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return mse_loss(model(batch[0])[:, 0], batch[1], reduction="none") * factor

    return wrapper


def with_function_attribute(factor: float) -> Callable[..., Tensor]:
    def scaled_loss(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return loss(model, batch) * scaled_loss.factor

    scaled_loss.factor = factor
    return scaled_loss


def executed(body: str) -> Any:
    names: dict[str, Any] = {"F": nn.functional}
    exec(body, names)  # noqa: S102 - the case under test
    return names["made"]


def executed_loss(factor: float) -> Any:
    return executed(f"def made(model, batch): return F.mse_loss(model(batch[0]), batch[1]) * {factor}")


def executed_class(factor: float) -> Any:
    return executed(f"class made:\n    def __call__(self, model, batch): return {factor}")()


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def doubled(x: Tensor) -> Tensor:
    return x * 2


def tripled(x: Tensor) -> Tensor:
    return x * 3


def scripted(function: Callable[..., Tensor]) -> Any:
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        return torch.jit.script(function)


def weak(value: float) -> Any:
    net = constant(value)
    return [weakref.ref(net), net]


LOSSES: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "simple namespace": (lambda: times(SimpleNamespace(t=1.0)), lambda: times(SimpleNamespace(t=2.0))),
    "deque": (lambda: times(deque([1.0])), lambda: times(deque([2.0]))),
    "decimal": (lambda: times(Decimal("1.0")), lambda: times(Decimal("2.0"))),
    "range": (lambda: times(range(3)), lambda: times(range(4))),
    "bytearray": (lambda: times(bytearray(b"a")), lambda: times(bytearray(b"b"))),
    "default factory": (
        lambda: times(defaultdict(lambda: 1.0)),
        lambda: times(defaultdict(lambda: 2.0)),
    ),
    "field of a list": (lambda: times(Named(1.0)), lambda: times(Named(2.0))),
    "slots": (lambda: Slotted(1.0), lambda: Slotted(2.0)),
    "slots of a dataclass": (lambda: times(SlottedFields(1.0)), lambda: times(SlottedFields(2.0))),
    "private attribute": (
        lambda: with_private_class_attribute(1.0),
        lambda: with_private_class_attribute(2.0),
    ),
    "decorator": (lambda: with_decorated_method(1.0), lambda: with_decorated_method(2.0)),
    "wraps": (lambda: wrapped_installed(1.0), lambda: wrapped_installed(2.0)),
    "function attribute": (lambda: with_function_attribute(1.0), lambda: with_function_attribute(2.0)),
    "executed function": (lambda: executed_loss(1.0), lambda: executed_loss(2.0)),
    "executed class": (lambda: executed_class(1.0), lambda: executed_class(2.0)),
    "generator": (lambda: times(seeded(1)), lambda: times(seeded(2))),
    "pattern": (lambda: times(re.compile("a")), lambda: times(re.compile("b"))),
    "union": (lambda: times(int | str), lambda: times(int | bytes)),
    "view": (lambda: times({"a": 1}.keys()), lambda: times({"b": 1}.keys())),
    "random state": (lambda: times(np.random.default_rng(0)), lambda: times(np.random.default_rng(1))),
    "scripted function": (lambda: times(scripted(doubled)), lambda: times(scripted(tripled))),
    "weak reference": (lambda: times(weak(1.0)), lambda: times(weak(2.0))),
}


@pytest.mark.parametrize("kind", LOSSES)
def test_all_that_a_loss_is_made_of_is_part_of_it(kind: str) -> None:
    first, second = LOSSES[kind]
    assert digest(loss=first()) == digest(loss=first())
    assert digest(loss=first()) != digest(loss=second())


READERS = {
    "attribute": "import cfg\ndef loss(model, batch): return cfg.T",
    "function": "import cfg\ndef loss(model, batch): return cfg.scaled(batch)",
    "attribute of a part": "import holder\ndef loss(model, batch): return holder.cfg.T",
    "other name": "import cfg\ndef loss(model, batch):\n    c = cfg\n    return c.T",
    "attribute made on demand": "import cfg\ndef loss(model, batch): return cfg.MADE",
    "name as text": "import cfg\ndef loss(model, batch): return getattr(cfg, 'T')",
    "import in the function": "def loss(model, batch):\n    import cfg\n    return cfg.T",
    "member imported in the function": "def loss(model, batch):\n    from cfg import T\n    return T",
    "enclosed": "import cfg\ndef make(c):\n    return lambda model, batch: c.T\nloss = make(cfg)",
    "default": "import cfg\ndef loss(model, batch, c=cfg): return c.T",
    "class": "import cfg\nclass Loss:\n    def __call__(self, model, batch): return cfg.T\nloss = Loss()",
}
IN_A_SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
from tests.byline.loading.test_memory import digest
{reader}
print(digest(loss=loss))
"""


def in_a_script(folder: Path, value: str, reader: str, *, seed: str = "1") -> str:
    (folder / "cfg.py").write_text(
        f"T = {value}\nOTHER = 1\ndef scaled(batch): return T * len(batch)\ndef __getattr__(_): return T\n"
    )
    (folder / "holder.py").write_text("import cfg\n")
    script = folder / "notebook.py"
    script.write_text(IN_A_SCRIPT.format(folder=str(folder), reader=reader))
    environment = {**_seeded_environment(), "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"}
    found = subprocess.run(
        [sys.executable, script], check=False, capture_output=True, text=True, env=environment
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_what_a_loss_reads_of_a_module_of_the_users_is_part_of_it(tmp_path: Path) -> None:
    everything = "\n".join(
        f"{reader}\nprint({kind!r}, digest(loss=loss))" for kind, reader in READERS.items()
    )
    first = in_a_script(tmp_path, "1.0", everything)
    assert in_a_script(tmp_path, "1.0", everything, seed="2") == first
    second = in_a_script(tmp_path, "3.0", everything)
    pairs = list(zip(first.splitlines(), second.splitlines(), strict=True))
    assert len(pairs) == len(READERS) + 1
    assert [before for before, after in pairs if before == after] == []


def test_what_a_loss_does_not_read_of_a_module_of_the_users_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("settings_of_mine")
    module.T, module.lock = 1.0, threading.Lock()
    made = digest(loss=lambda model, batch: loss(model, batch) * module.T)
    module.lock = threading.Lock()
    assert digest(loss=lambda model, batch: loss(model, batch) * module.T) == made


def nested(depth: int) -> list[Any]:
    values: list[Any] = []
    for _ in range(depth):
        values = [values]
    return values


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (threading.Lock(), "type _thread.lock.*Task.loss.*in a file"),
        (Locked(), "type _thread.lock.*lock.*in a file"),
        ((each for each in [1.0]), "type builtins.generator.*in a file"),
        (nested(2000), "nested too deeply.*in a file"),
    ],
)
def test_values_that_cannot_be_identified_are_refused(value: Any, said: str) -> None:
    with pytest.raises(InvalidTask, match=said) as refused:
        digest(loss=lambda model, batch: loss(model, batch) * len(str(value)))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500


def test_a_recurrent_network_is_identified() -> None:
    assert of_object(nn.LSTM(2, 2)) == of_object(nn.LSTM(2, 2))
    assert of_object(nn.LSTM(2, 2)) != of_object(nn.LSTM(2, 2, bidirectional=True))


def test_values_that_name_themselves_end() -> None:
    cycle: list[Any] = [1.0]
    cycle.append(cycle)
    assert digest(loss=lambda model, batch: loss(model, batch) * cycle[0]) != digest()


def test_another_process_finds_the_same_digest() -> None:
    code = (
        "from byline.loading.memory import task_in_memory\n"
        "from byline.loading.task_file import load_task\n"
        f"print(task_in_memory(load_task('{TINY}:task').task).digest)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_seeded_environment()
    )
    assert found.stdout.strip() == task_in_memory(load_task(f"{TINY}:task").task).digest


def test_another_process_finds_the_same_digest_of_every_model_and_loss() -> None:
    code = (
        "from tests.byline.loading.test_memory import LOSSES, MODELS, digest, of_object\n"
        "junk = [object() for _ in range(1000)]\n"
        "for first, second in MODELS.values():\n"
        "    print(of_object(first()), of_object(second()))\n"
        "for first, second in LOSSES.values():\n"
        "    print(digest(loss=first()), digest(loss=second()))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_seeded_environment()
    )
    here = [f"{of_object(first())} {of_object(second())}" for first, second in MODELS.values()]
    here += [f"{digest(loss=first())} {digest(loss=second())}" for first, second in LOSSES.values()]
    assert found.stdout.split("\n")[:-1] == here


def _seeded_environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONHASHSEED": "12345"}
