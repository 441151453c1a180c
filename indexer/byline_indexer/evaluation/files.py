"""Reading what an earlier run, or somebody else, left in numpy's format."""

import zipfile
import zlib

UNREADABLE: tuple[type[Exception], ...] = (
    OSError,
    ValueError,  # pickled objects, which are never read, and headers that are none
    TypeError,  # one array in place of an archive
    KeyError,
    IndexError,
    EOFError,
    MemoryError,  # a shape beyond all reason
    RuntimeError,  # an encrypted archive, or a packing that Python does not know
    zipfile.BadZipFile,
    zlib.error,
)
"""What `numpy.load(..., allow_pickle=False)` raises for an `.npz` file that is missing, damaged or something else."""
