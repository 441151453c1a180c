"""The whole demo, with seconds of work: corpus, training, `byline build`, `byline serve`, HTTP."""

import os
import re
from dataclasses import replace
from importlib.metadata import metadata

import pytest

from examples.code_lm.corpus import Sizes, collect
from examples.code_lm.train import Training
from examples.demo import BUILD_FILE, SMOKE, changed, train_if_needed
from examples.questions import held_out_prompts


@pytest.mark.slow
def test_the_demo_runs(tmp_path, request, forks):
    folder = tmp_path / "home of Jörg"
    words = ["examples.demo", "--smoke", "--folder", str(folder)]
    run = forks.run(words, request.config.rootpath, os.environ, seconds=250)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "http://127.0.0.1:" in run.stdout
    assert f"byline serve '{folder}/index'\n" in run.stdout
    influencers, shares = run.stdout.split("Most influential training chunks")[1].split("Each owner's share")
    for column in ("#", "score (95 %)", "owner", "license", "training chunk"):
        assert column in influencers
    for column in ("owner", "share (95 %)", "score (95 %)", "chunks"):
        assert column in shares
    corpus = collect(SMOKE.packages, SMOKE.sizes)
    owners = {document.owner for document in corpus.train}
    assert all(owner in shares for owner in owners)
    assert any(owner in influencers for owner in owners)
    licenses = {document.license for document in corpus.train}
    assert metadata("click")["License-Expression"] in licenses
    assert any(name in influencers for name in licenses)
    rows = re.findall(r"(\S+\.py) from [\d,]+ *\n +(\S.*?)…? *\n", influencers)
    assert len(rows) == 5
    for path, preview in rows:
        text = next(document.text for document in corpus.train if document.uri.endswith(f"#{path}"))
        assert preview.strip() in " ".join(text.split())
    assert re.search(r"held-out snippets, \d+% are by the snippet's own owner \(\d+% by chance\)", run.stdout)


def test_the_full_demo_trains_an_ensemble_whose_spread_is_an_error():
    assert len(set(Training().seeds)) >= 4
    assert Sizes().held_out >= 1


def test_the_build_file_is_changed_or_the_demo_fails():
    text = BUILD_FILE.read_text()
    assert 'path = "index"' in changed(text, {"../../.demo/index": "index"})
    for wrong in ({"not there": ""}, {"=": ":"}):
        with pytest.raises(ValueError, match="once"):
            changed(text, wrong)


@pytest.mark.slow
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
