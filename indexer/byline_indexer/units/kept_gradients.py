"""Keep the gradients of a fit's first pass on the disk, so that later passes over the same batches need no model.

Only gradients that are written out in full (`byline.gradients.outer_products.narrow`) are kept. A pass that finds them gets
the numbers that it would compute, bit for bit, so an index does not depend on what was kept, by which worker, and when.
"""

import hashlib
import shutil
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError
from torch import Tensor

from byline.gradients.outer_products.factors import BatchGradients
from byline.gradients.outer_products.narrow import with_matrices
from byline.index.durable import atomic_replacement
from byline.index.tensors import read_tensors, write_tensors
from byline.types import Rows, State

FOLDER = "gradients"
"""Folder of the work directory."""
_OBJECTIVE = "objective"
_BLOCK = "block."
"""Names of the tensors in a file: the objective's values, and a block's gradients after its number."""


class KeptGradients:
    """Gradients of batches under a folder, of one member at a time.

    Args:
        work: The work directory of the build.
        device: Where the build computes.
    """

    def __init__(self, work: Path, device: str) -> None:
        self._root, self._device = work / FOLDER, device

    def keep(self, member: str, rows: Rows, objective_N: Tensor, matrices: State) -> None:
        """Write the gradients of a batch, unless the disk is full. Those of other members are deleted.

        Args:
            member: The member.
            rows: Rows of the batch, in its order.
            objective_N: Values of the train signal.
            matrices: Block name -> [N, O, I], all blocks in their order.
        """
        own, path = self._root / member, self._path(member, rows)
        for other in self._root.glob("*"):
            if other != own:
                shutil.rmtree(other, ignore_errors=True)
        if path.exists():
            return
        tensors = {f"{_BLOCK}{number}": matrix for number, matrix in enumerate(matrices.values())}
        tensors[_OBJECTIVE] = objective_N
        with suppress(OSError):  # another pass computes them again
            own.mkdir(parents=True, exist_ok=True)
            with atomic_replacement(path) as temporary:
                write_tensors(temporary, {name: t.detach().cpu().contiguous() for name, t in tensors.items()})

    def find(self, member: str, rows: Rows, blocks: list[str]) -> BatchGradients | None:
        """Read the gradients of a batch.

        Args:
            member: The member.
            rows: Rows of the batch, in its order.
            blocks: Names of all blocks, in their order.

        Returns:
            As they were kept. None where they were not.
        """
        path = self._path(member, rows)
        if not path.is_file():
            return None
        try:
            found = {name: tensor.to(self._device) for name, tensor in read_tensors(path).items()}
            matrices = {name: found[f"{_BLOCK}{number}"] for number, name in enumerate(blocks)}
            return with_matrices(BatchGradients(found[_OBJECTIVE], {}), matrices)
        except (OSError, SafetensorError, KeyError):
            return None

    def _path(self, member: str, rows: Rows) -> Path:
        digest = hashlib.sha256(rows.tobytes()).hexdigest()[:32]
        return self._root / member / f"{digest}.safetensors"
