"""Cards of an answer: everything that a person needs, and nothing that a browser would run."""

from html.parser import HTMLParser

from byline.api.answer_html import index_html, number
from byline.api.blend import Blend
from byline.api.token_scores import CopiedRun, TokenScores
from tests.byline.api.answers import answer, point


class Page(HTMLParser):
    """Collects tags and text, and holds that tags are closed."""

    VOID = frozenset({"br", "img", "input", "meta", "link"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_an_answer_is_drawn_whole() -> None:
    page = Page(answer()._repr_html_())
    for text in ("Proponents", "Opponents", "shares", "Ada & Co", "75.0 %", "MIT", "0.988", "-8"):
        assert text in page.words
    assert "(3 to 5)" in " ".join(page.words.split())
    assert "over 2 independent members" in page.words
    assert page.tags.count("li") == 4


def test_tokens_are_shaded_named_and_never_run() -> None:
    tokens = TokenScores(
        query_parts=(0.0, 4.0),
        training_parts=(-1.0, 5.0),
        texts=("<script>", " b"),
        copied=(CopiedRun(query_start=0, training_start=1, length=1),),
        copied_score=5.0,
    )
    told = point(1, 4.0).model_copy(update={"tokens": tokens})
    html = answer(proponents=(told,), query_tokens=("<img>", " cat"))._repr_html_()
    page = Page(html)
    assert "script" not in page.tags
    assert "img" not in page.tags
    for text in ("owes to it", "<img> cat", "<script> b", "+4", "Word for word in both: +5 of +4"):
        assert text in " ".join(page.words.split()), text
    assert 'class="p5 copied"' in html
    assert 'class="m1"' in html
    hidden = told.model_copy(update={"tokens": tokens.model_copy(update={"texts": None, "copied": ()})})
    assert "of it did" not in answer(proponents=(hidden,), query_tokens=("a", "b"))._repr_html_()


def test_patches_are_a_grid_with_signs() -> None:
    patches = TokenScores(
        query_parts=(0.0, 1.0, -2.0, 0.0), training_parts=(4.0, 0.0, 0.0, 0.0), grid=(2, 2), query_rest=0.5
    )
    html = answer(proponents=(point(1, 4.0).model_copy(update={"tokens": patches}),))._repr_html_()
    assert "repeat(2, 26px)" in html
    assert html.count('class="m5"') == 1
    assert "In no patch: +0.5 of the query" in Page(html).words


def test_text_of_training_points_is_never_run() -> None:
    page = Page(answer(prediction={"label": "<img src=x onerror=alert(1)>"})._repr_html_())
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert '<script>alert("no")</script>' in page.words


def test_bars_follow_the_size_of_the_scores() -> None:
    html = answer()._repr_html_()
    assert 'style="width: 100.0%"' in html
    assert 'style="width: 50.0%"' in html
    assert html.count("bar lowers") == 1


def test_parts_that_were_not_asked_for_are_not_drawn() -> None:
    page = Page(answer(opponents=None, shares=None, prediction=None)._repr_html_())
    assert "Opponents" not in page.words
    assert "shares" not in page.words
    assert "predicted" not in page.words


def test_a_baseline_is_not_called_influence() -> None:
    words = Page(answer(baseline="bm25", recipe=None, recipe_fingerprint=None)._repr_html_()).words
    assert "Most alike" in words
    assert "Proponents" not in words
    assert "bm25" in words


def test_a_blend_is_called_no_attribution_by_gradients_alone() -> None:
    blended = answer(baseline="blend", blend=Blend(baseline="bm25", weight=0.25))
    words = Page(blended._repr_html_()).words
    assert "Highest blend" in words
    assert "influence + 0.25 bm25" in words
    assert "no attribution by gradients alone" in words
    assert "Proponents" not in words


def test_an_empty_end_says_so() -> None:
    assert "No training point matches the filter." in Page(answer(proponents=())._repr_html_()).words


def test_noise_is_named() -> None:
    stands_out = {"proponents": False, "opponents": True}
    assert "do not stand out from the noise" in Page(answer(stands_out=stands_out)._repr_html_()).words


def test_an_index() -> None:
    words = Page(index_html("<digits>", [("recipe", "ekfac"), ("folder", "/a & b")])).words
    for text in ("<digits>", "recipe", "ekfac", "/a & b"):
        assert text in words


def test_numbers() -> None:
    assert [number(value) for value in (1234.5, 0.000123456, -0.5, 999.9)] == [
        "1,234",
        "0.000123",
        "-0.5",
        "1,000",
    ]
