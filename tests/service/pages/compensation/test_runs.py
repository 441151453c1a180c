"""The page of a run: its name, inclusive dates, and reversals with losers first."""

import re

from tests.service.office import keep, office

ROW = re.compile(r'<tr><th scope="row"><a href="/compensation/owner\?owner=[^"]*">([^<]*)<')


def test_a_run_has_its_periods_name_and_inclusive_dates(house):
    text = house.get(f"/compensation/runs/{house.runs.april}").text
    assert "<h1>April 2026 " in text
    assert "1 to 30 April 2026 (UTC), " in text
    assert "Approve" in text


def test_a_reversal_begins_with_those_who_lose_most(tmp_path):
    def taken_back(books):
        runs = keep(books)
        from byline_service.ledger import run_workflow

        runs.back = books.do(run_workflow.reverse, runs.march, "a wrong index").id
        return runs

    with office(tmp_path, taken_back) as found:
        text = found.get(f"/compensation/runs/{found.runs.back}").text
        assert "Reversal of March 2026" in text
        assert "a wrong index" in text
        assert ROW.findall(text)[0] == "Ana &amp; Söhne"
        assert ROW.findall(text)[-1] == "owner 1"
        assert 'class="payable back"' in text
        assert "taken back" in text
