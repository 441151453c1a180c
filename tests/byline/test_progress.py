import contextlib

import pytest

from byline.progress import Cancelled, Step, count_items, count_steps, report_to, several_steps, stage


def steps_of(work):
    seen = []
    with report_to(seen.append):
        work()
    return seen


def test_counts_within_one_another_make_one_fraction():
    def work():
        with stage("gradient"):
            for _ in count_items("solve", range(2)):
                for _ in count_items(None, range(4)):
                    pass

    seen = steps_of(work)
    assert seen[0] == Step("gradient")
    assert [step.fraction for step in seen[1:]] == [
        0,
        0,
        0.125,
        0.25,
        0.375,
        0.5,
        0.5,
        0.5,
        0.625,
        0.75,
        0.875,
        1.0,
        1.0,
    ]
    assert {(step.stage, step.total) for step in seen[1:]} == {("solve", 2)}
    assert [step.done for step in seen[1:]] == [0] * 6 + [1] * 6 + [2]


def test_steps_of_any_size():
    def work():
        with count_steps("drill", 100) as advance:
            advance(30)
            advance(70)

    assert [(s.done, s.fraction) for s in steps_of(work)] == [(0, 0), (30, 0.3), (100, 1)]


def test_more_steps_than_expected_are_no_more_than_all():
    def work():
        with count_steps("solve", 2) as advance:
            advance(5)

    assert steps_of(work)[-1].fraction == 1


def test_nobody_who_listens_costs_nothing():
    with stage("search"), count_steps("drill", 3) as advance:
        advance(1)
    assert list(count_items("solve", "abc")) == ["a", "b", "c"]


def test_stopping_passes_code_that_goes_on_after_errors():
    def stop(step):
        if step.done == 2:
            raise Cancelled

    done = []

    def carry_on():
        with count_steps("solve", 5) as advance:
            for item in range(5):
                with contextlib.suppress(Exception):
                    advance(1)
                    done.append(item)

    with report_to(stop), pytest.raises(Cancelled):
        carry_on()
    assert done == [0]


def test_the_listener_goes_with_its_block():
    seen = []
    with report_to(seen.append), stage("join"):
        pass
    with stage("search"):
        pass
    assert seen == [Step("join")]


def test_a_count_may_refine_several_steps_around_it():
    def work():
        with stage("emit"), count_steps(None, 8) as advance:
            for batch in (6, 2):
                with several_steps(batch):
                    for _ in count_items(None, range(2)):
                        pass
                advance(batch)

    seen = [step.fraction for step in steps_of(work)]
    assert sorted(seen) == seen, "never back"
    assert set(seen) == {0, 0.375, 0.75, 0.875, 1.0}


def test_without_a_count_around_it_several_steps_are_none():
    with several_steps(3):
        pass
    assert steps_of(lambda: several_steps(3).__enter__()) == []
