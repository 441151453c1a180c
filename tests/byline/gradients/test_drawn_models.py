"""Models drawn at random from those of the installed transformers: exact, or refused in one line."""

import pytest

pytest.importorskip("transformers", reason="the extra `hf` is not installed")
drawing = pytest.importorskip("tests.byline.gradients.drawn_models.drawing")
shrinking = pytest.importorskip("tests.byline.gradients.drawn_models.shrinking")
table = pytest.importorskip("tests.system.drawn_models")

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("seed", [pytest.param(n, marks=[pytest.mark.slow] * (n > 0)) for n in range(4)])
def test_gradients_are_exact_or_refused_in_one_line(seed: int) -> None:
    models = drawing.drawn_models(5, seed)
    wrong = [each for each in models if each.outcome in {"silent", "crash"}]
    assert not wrong
    assert sum(each.outcome == "exact" for each in models) >= 4
    assert all("\n" not in each.words for each in models if each.outcome == "refused")


def test_a_draw_is_repeated_by_its_seed() -> None:
    assert [(d.way, d.kind) for d in drawing.drawn_models(1, 3)] == [
        (d.way, d.kind) for d in drawing.drawn_models(1, 3)
    ]


def test_a_configuration_is_made_small_with_its_kinds_of_layers() -> None:
    import transformers

    config = shrinking.shrunk(transformers.Gemma3TextConfig(), shrinking.Sizes())
    assert (config.hidden_size, config.num_hidden_layers, config.vocab_size) == (16, 2, shrinking.VOCABULARY)
    assert set(config.layer_types) == {"sliding_attention", "full_attention"}


def test_the_page_has_as_many_drawn_models_as_it_says() -> None:
    part = table.PAGE.read_text().split(table.BEGIN)[1].split(table.END)[0]
    rows = [line for line in part.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == table.COUNT
    assert table.written(f"a {table.BEGIN} old {table.END} b", []).endswith(" b")


def test_the_command_prints_a_few(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["drawn_models", "--smoke"])
    assert table.main() == 0
    assert "| model | as |" in capsys.readouterr().out
