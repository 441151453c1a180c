"""An error of the caller's own function ends the stream."""

import pytest

from tests.service.keys import admin_key
from tests.service.live import until


class LeftError(Exception):
    """What the caller's own function raised."""


def leave(progress):
    raise LeftError


def test_what_a_callers_function_raises_ends_the_stream(twin, held):
    url, app = held
    with pytest.raises(LeftError):
        twin(url, admin_key()).attribute("fake", {"text": "x"}, on_progress=leave)
    until(lambda: app.state.service.admission.cost == 0)
