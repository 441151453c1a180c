"""Tensors stay what they were read as, and their files have an ordinary file's mode."""

import os
from pathlib import Path

import pytest
import torch

from byline.index.tensors import read_tensors, write_tensors


def test_what_was_read_does_not_change_with_the_file(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a", {"w": torch.zeros(1000)})
    write_tensors(tmp_path / "b", {"w": torch.ones(1000)})
    read = read_tensors(tmp_path / "a")
    with (tmp_path / "a").open("r+b") as file:  # in place, as `cp` does
        file.write((tmp_path / "b").read_bytes())
    assert float(read["w"].sum()) == 0
    assert float(read_tensors(tmp_path / "a")["w"].sum()) == 1000


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_the_umask_says_who_may_read(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_tensors(tmp_path / "a", {"w": torch.zeros(1)})
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode
