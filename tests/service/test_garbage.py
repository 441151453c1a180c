"""What is loaded is left out of collections; what it replaced goes at the next settling."""

import gc
import weakref

from byline_service.server import freeze_garbage_collector


class Node:
    def __init__(self):
        self.itself = self


def test_what_is_alive_is_set_aside_and_an_old_version_goes():
    try:
        old = Node()
        gone = weakref.ref(old)
        freeze_garbage_collector()
        assert gc.get_freeze_count() > 1_000
        del old
        gc.collect()
        assert gone() is not None, "a cycle that was set aside is not looked at"
        freeze_garbage_collector()
        assert gone() is None
    finally:
        gc.unfreeze()
