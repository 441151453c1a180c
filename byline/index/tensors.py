"""Read and write safetensors: the tensors outlive the file, and the file has the usual mode."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Copy a file's tensors into memory: safetensors' own are views of the file, and change when it is overwritten.

    Raises:
        OSError: The file cannot be read.
        SafetensorError: It is no such file.
    """
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a file that others may read as the umask has it: safetensors makes its own for their owner alone."""
    path.touch()
    mode = path.stat().st_mode & 0o777
    save_file(dict(tensors), path)
    path.chmod(mode)
