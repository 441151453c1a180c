"""The whole demo, with seconds of work: corpus, training, `byline build`, `byline serve`, HTTP."""

import subprocess
import sys
from dataclasses import replace

import pytest

from examples.asking import held_out_prompts
from examples.code_lm.corpus import collect
from examples.demo import SMOKE, train_if_needed


@pytest.mark.slow
def test_the_demo_runs(tmp_path, request):
    command = [sys.executable, "-m", "examples.demo", "--smoke", "--folder", str(tmp_path)]
    run = subprocess.run(
        command, cwd=request.config.rootpath, capture_output=True, text=True, timeout=250, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    for text in ("Most influential training chunks", "Each owner's share", "±", "http://127.0.0.1:"):
        assert text in run.stdout
    assert f"byline serve {tmp_path}" in run.stdout.replace("\n", " ")


def test_training_is_reused_where_nothing_changed(tmp_path):
    demo = replace(SMOKE, folder=tmp_path, training=replace(SMOKE.training, seeds=(0,), steps=1))
    corpus = collect(demo.packages[:1], demo.sizes)
    train_if_needed(demo, corpus)
    weights = (tmp_path / "seed-0.safetensors").read_bytes()
    (tmp_path / "seed-0.safetensors").write_bytes(b"untouched")
    train_if_needed(demo, corpus)
    assert (tmp_path / "seed-0.safetensors").read_bytes() == b"untouched"
    train_if_needed(replace(demo, training=replace(demo.training, steps=2)), corpus)
    assert (tmp_path / "seed-0.safetensors").read_bytes() not in {b"untouched", weights}
    assert [document.label for document, _ in held_out_prompts(tmp_path, corpus)] == ["click"]
