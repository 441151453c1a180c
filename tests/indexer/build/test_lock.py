import subprocess
import sys
import time
from pathlib import Path

import pytest

from byline.errors import BuildFailed
from byline_indexer.build.lock import build_lock

HOLD = """
import sys, time
from pathlib import Path
from byline_indexer.build.lock import build_lock
with build_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BuildFailed, match="another process is building"), build_lock(path):
            pass
        holder.kill()
    with build_lock(path):
        assert path.exists()
    assert not path.exists()


def test_the_lock_is_let_go_after_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), build_lock(tmp_path / "lock"):
            raise ZeroDivisionError


def test_two_in_one_process_are_kept_apart_too(tmp_path: Path) -> None:
    start = time.monotonic()
    with build_lock(tmp_path / "lock"), pytest.raises(BuildFailed), build_lock(tmp_path / "lock"):
        pass
    assert time.monotonic() - start < 1
