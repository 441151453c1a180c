"""Keep the work directory of a build: immutable outputs, and a receipt for each.

An output is written under a temporary name, flushed to the disk and renamed. Its receipt follows. So a receipt
says that the output was complete, and its digest says whether it still is. Names and receipts are not flushed:
if the power fails, a receipt that is lost or torn costs its unit, and nothing else.
"""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from byline.errors import BuildFailed
from byline.gradients.pass_log import NOTHING_MET, PassReport
from byline.index.durable import TEMPORARY, atomic_replacement
from byline.index.tensors import write_tensors
from byline.index.verification import sha256_of
from byline_indexer.units.unit import Unit


@dataclass(frozen=True)
class Receipt:
    """Size, digest and passes of a finished unit's output."""

    size: int
    """Bytes of its output."""
    sha256: str
    """Digest of its output."""
    passes: PassReport = NOTHING_MET
    """Report of its gradient passes."""


class Workspace:
    """Outputs and receipts of one build, under `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.version = root / "version"
        """Folder in which the finished index is put together."""
        self.writing = 0.0
        """Seconds that writing has taken so far."""

    def write(self, unit: Unit, tensors: Mapping[str, Tensor], passes: PassReport = NOTHING_MET) -> Receipt:
        """Keep a unit's output, then its receipt.

        Args:
            unit: The unit that made them.
            tensors: On any device; saved as safetensors.
            passes: What the unit's gradient passes met.

        Returns:
            The receipt.
        """
        start = time.perf_counter()
        kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        output = self._output(unit)
        output.parent.mkdir(parents=True, exist_ok=True)
        with atomic_replacement(output) as temporary:
            write_tensors(temporary, kept)
        receipt = Receipt(output.stat().st_size, sha256_of(output), passes)
        _keep_text(self._receipt(unit), json.dumps({"unit": str(unit.path), **asdict(receipt)}))
        self.writing += time.perf_counter() - start
        return receipt

    def read(self, unit: Unit, names: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Load a unit's output, or only the tensors of these names."""
        with self.opened(unit) as file:
            return {name: file.get_tensor(name) for name in names or file.keys()}

    def names(self, unit: Unit) -> list[str]:
        """List the names of a unit's tensors."""
        with self.opened(unit) as file:
            return list(file.keys())

    def opened(self, unit: Unit) -> safe_open:
        """Open a unit's output, to read parts of its tensors.

        Raises:
            BuildFailed: It is not there, or damaged.
        """
        try:
            return safe_open(self._output(unit), framework="pt")
        except (OSError, SafetensorError) as error:
            raise BuildFailed(
                f"{unit}: its output at {self._output(unit)} is gone or damaged: run the same command again, which makes "
                f"it again"
            ) from error

    def receipt(self, unit: Unit) -> Receipt | None:
        """Read the unit's receipt, if there is one, whether or not its output is still there."""
        try:
            record = json.loads(self._receipt(unit).read_text())
            passes = record["passes"]
            reached = tuple(map(str, passes.pop("reached")))
            return Receipt(int(record["size"]), str(record["sha256"]), PassReport(reached=reached, **passes))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def finished(self, unit: Unit) -> bool:
        """Tell whether the output is there, byte for byte as its receipt says."""
        receipt, output = self.receipt(unit), self._output(unit)
        return (
            receipt is not None
            and output.is_file()
            and output.stat().st_size == receipt.size
            and sha256_of(output) == receipt.sha256
        )

    def discard(self, unit: Unit) -> None:
        """Delete an output that nothing will read again. Its receipt stays."""
        self._output(unit).unlink(missing_ok=True)

    def delivered(self, unit: Unit, receipt: Receipt) -> None:
        """Require the output that a receipt promises: an executor may run units anywhere.

        Raises:
            BuildFailed: The output is not there, or of another size.
        """
        output = self._output(unit)
        size = output.stat().st_size if output.is_file() else None
        if size != receipt.size:
            raise BuildFailed(
                f"{unit}: expected its output of {receipt.size} bytes at {output}, found "
                f"{'none' if size is None else f'{size} bytes'}: run the same command again, which makes it again "
                f"(do the workers write to this disk?)"
            )

    def sweep(self) -> None:
        """Delete files that a killed build left half written."""
        for path in self.root.rglob(f"{TEMPORARY}*"):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.version, ignore_errors=True)

    def keep_text(self, name: str, text: str) -> None:
        """Write a small file of the build itself, atomically."""
        _keep_text(self.root / name, text)

    def _output(self, unit: Unit) -> Path:
        return self.root / "outputs" / f"{unit.path}.safetensors"

    def _receipt(self, unit: Unit) -> Path:
        return self.root / "receipts" / f"{unit.path}.json"


def _keep_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_replacement(path, durable=False) as temporary:
        temporary.write_text(text)
