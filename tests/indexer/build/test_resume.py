import itertools

import pytest

from tests.system.kills import Setting, run_kills


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting",
    [
        Setting("trak", workers=1, parent_only=False),
        Setting("ekfac", workers=2, parent_only=True),
    ],
)
def test_a_build_that_is_killed_at_random_moments_ends_the_same(setting: Setting) -> None:
    report = run_kills(kills=2, rows=150, seed=1, kinds=itertools.repeat(setting))
    assert report.kills == 2
    assert (report.mismatches, report.corrupt_opened) == (0, 0)
