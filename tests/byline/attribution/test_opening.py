"""An index is opened with its own Task alone."""

import shutil
from contextlib import contextmanager

import pytest
import torch

from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline.errors import InvalidQuery, StaleIndex
from byline.index.layout import CHECK_CACHE
from byline.loading.task_file import load_task
from byline.models import network
from byline_indexer.build.index import build_index
from tests.byline.attribution.test_attributor import ITEM, QUERY, feature_of


def wrong_gradients(attributor):
    """Gradients that are refused before anything is computed."""
    right = {name: torch.ones(shape) for name, shape in attributor.expected_gradients().items()}
    name = next(iter(right))
    return {
        "names": {f"x{each}": tensor for each, tensor in right.items()},
        "missing": dict(list(right.items())[1:]),
        "unknown": right | {"more": torch.ones(1)},
        "shape": right | {name: torch.ones(1)},
        "integers": right | {name: right[name].long()},
        "complex": right | {name: right[name].to(torch.complex64)},
        "float8": right | {name: right[name].to(torch.float8_e4m3fn)},
        "NaN": right | {name: right[name] * float("nan")},
    }


CODE_CHANGES = {
    "loss": ('reduction="none")', 'reduction="none", label_smoothing=0.1)'),
    "target": ("return p.log() - (-p).log1p()", "return p.log()"),
    "layers": ("nn.Linear(6, 8), nn.ReLU()", "nn.Linear(6, 8), nn.GELU()"),
    "data": ("ROWS = 90", "ROWS = 91"),
}


@contextmanager
def edited(path, old, new):
    """Another text in a file, for a while."""
    kept = path.read_text()
    assert old in kept
    path.write_text(kept.replace(old, new))
    try:
        yield
    finally:
        path.write_text(kept)


class TestOpening:
    @pytest.mark.parametrize(("old", "new"), CODE_CHANGES.values(), ids=CODE_CHANGES)
    def test_another_source_is_stale(self, built, old, new):
        with edited(built / "tiny_task.py", old, new), pytest.raises(StaleIndex, match="changed"):
            Attributor.open(built / "index")
        Attributor.open(built / "index")

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("ROWS = 90", "# Rows.\n\nROWS  =  90  # changed"),
            ("per_example_loss", "loss_of_each"),
            ("shapes", "sizes"),
            ("-> nn.Module:", "->  'nn.Module':"),
        ],
        ids=["comment", "function", "variable", "annotation"],
    )
    def test_a_comment_or_a_rename_is_not(self, built, attributor, old, new):
        request = AttributionRequest(query=QUERY)
        with edited(built / "tiny_task.py", old, new):
            reopened = Attributor.open(built / "index")
        assert reopened.attribute(request).proponents == attributor.attribute(request).proponents

    def test_other_weights_are_stale(self, built):
        task = load_task("tiny_task.py:task", built).task
        shifted = load_task("tiny_task.py:task", built).task
        shifted.checkpoints[0].weights["0.bias"][0] += 1
        Attributor.open(built / "index", task=task)
        with pytest.raises(StaleIndex, match="weights"):
            Attributor.open(built / "index", task=shifted)

    def test_without_its_task_an_index_answers_gradients_and_features(self, built, attributor):
        bare = Attributor.open_without_task(built / "index")
        feature_K = feature_of(attributor, ITEM)
        request = AttributionRequest(feature=feature_K, shares=True)
        mine, full = bare.attribute(request), attributor.attribute(request)
        assert mine.proponents == full.proponents
        assert mine.shares == full.shares
        bare.warm()
        for wrong in (wrong_gradients(bare)).values():
            with pytest.raises(InvalidQuery):
                bare.check(AttributionRequest(gradient=wrong))
        for refused in ({"query": QUERY}, {"gradient": {}}):
            with pytest.raises(InvalidQuery):
                bare.attribute(AttributionRequest(**refused))
        random = torch.Generator().manual_seed(0)
        gradients = {n: torch.randn(s, generator=random) for n, s in bare.expected_gradients().items()}
        by_gradient = AttributionRequest(gradient=gradients)
        assert bare.attribute(by_gradient).proponents == attributor.attribute(by_gradient).proponents


class TestChecks:
    """Models are held against autograd once: where they were checked, and where nothing changed since."""

    @pytest.fixture
    def checks(self, monkeypatch):
        made = []
        real = network.make_collector
        monkeypatch.setattr(network, "make_collector", lambda *a, **k: made.append(a) or real(*a, **k))
        return made

    def test_a_second_opening_checks_nothing(self, built, attributor, checks):
        cache = built / "index" / CHECK_CACHE
        cache.unlink(missing_ok=True)
        Attributor.open(built / "index")
        members = {(m.checkpoint, m.adapter) for m in attributor.members}
        assert len(checks) == len(members)
        again = Attributor.open(built / "index")
        assert len(checks) == len(members)
        request = AttributionRequest(query=QUERY)
        assert again.attribute(request).proponents == attributor.attribute(request).proponents

    def test_a_task_that_was_not_compared_is_checked(self, built, checks):
        task = load_task("tiny_task.py:task", built).task
        Attributor.open(built / "index", task=task)
        assert checks

    def test_a_build_leaves_the_first_members_check(self, built, tmp_path, checks):
        shutil.copy(built / "tiny_task.py", tmp_path)
        build_index(str(tmp_path / "tiny_task.py:task"), "grad_dot", tmp_path / "index")
        checks.clear()
        opened = Attributor.open(tmp_path / "index")
        assert len(checks) == len(opened.members) - 1

    def test_what_the_code_reads_is_compared(self, built, tmp_path):
        """The code is the same, and a file that it reads is another."""
        source = (built / "tiny_task.py").read_text()
        body = "    return cross_entropy("
        assert body in source
        read = "    scale = float((Path(__file__).parent / 'scale.txt').read_text())\n    return scale * cross_entropy("
        (tmp_path / "tiny_task.py").write_text("from pathlib import Path\n" + source.replace(body, read))
        (tmp_path / "scale.txt").write_text("1.0")
        build_index(str(tmp_path / "tiny_task.py:task"), "grad_dot", tmp_path / "index")
        Attributor.open(tmp_path / "index")
        (tmp_path / "scale.txt").write_text("1.5")
        with pytest.raises(StaleIndex, match="loss of training point"):
            Attributor.open(tmp_path / "index")
