"""The page that compares two runs."""

from tests.service.office import keep, office


def test_a_draft_shows_its_change_from_the_last_run(house):
    text = house.get(f"/compensation/runs/{house.runs.april}").text
    assert "Change from March 2026" in text
    assert f"before={house.runs.march}&amp;after={house.runs.april}" in text


def test_the_last_two_posted_runs_are_compared(tmp_path):
    def both(books):
        runs = keep(books)
        books.posted(runs.april)
        return runs

    with office(tmp_path, both) as found:
        text = found.get("/compensation/compare").text
        assert '<th scope="col" class="number">March 2026</th>' in text
        assert '<th scope="col" class="number">April 2026</th>' in text
        assert "By owner" in text


def test_one_posted_run_has_nothing_beside_it(house):
    assert "Two posted runs are needed." in house.get("/compensation/compare").text
    assert house.get("/compensation/compare", house.keys["owner"]).status_code == 200
