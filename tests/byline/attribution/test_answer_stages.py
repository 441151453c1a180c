"""A batch is answered stage by stage, and one question's error stays with it."""

from dataclasses import replace

import pytest

from byline.api.answer import Answer
from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline.errors import BylineError, InvalidQuery, NonFiniteGradient

QUERY = {"x": [0.5, -1.0, 0.25, 2.0, 0.0, 1.0], "label": 1}
INFINITE = {"x": [3.4e38] * 6, "label": 1}


def test_an_error_stays_with_its_question(attributor: Attributor) -> None:
    stages = attributor._stages
    requests = [AttributionRequest(query=each, k=3) for each in (QUERY, INFINITE, QUERY)]
    first, wrong, last = stages.answer([stages.check(each) for each in requests])
    assert isinstance(wrong, NonFiniteGradient)
    assert isinstance(first, Answer)
    assert isinstance(last, Answer)
    assert first.proponents == last.proponents == stages.alone(requests[0]).proponents
    with pytest.raises(NonFiniteGradient):
        stages.alone(requests[1])


def test_an_error_of_the_drill_down_stays_with_its_question(
    attributor: Attributor, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        def into_points(self, query: object, found: object) -> None:
            raise BylineError("no points")

    stages = replace(attributor._stages, drill=Failing())  # type: ignore[arg-type]
    plain, drilled = (
        stages.preparer.check(AttributionRequest(query=QUERY, drill_down=drill)) for drill in (False, True)
    )
    answer, error = stages.answer([plain, drilled])
    assert isinstance(answer, Answer)
    assert str(error) == "no points"


def test_checking_counts_what_an_option_costs(attributor: Attributor) -> None:
    with pytest.raises(InvalidQuery, match="groups"):
        attributor._stages.check(AttributionRequest(query=QUERY, drill_down=True))
    with pytest.raises(InvalidQuery, match="baseline"):
        attributor._stages.check(AttributionRequest(query=QUERY, baseline="bm25"))
