"""A recorded run on disk: spans of whole steps, and a closing file without which the recording is incomplete.

    head.json            written first: the projection, the blocks, the size of the training set
    span-0000000.safetensors …   phi float32 [N, K], rows int64 [N], sizes int64 [S], rates float64 [S], and
                                 decays float64 [S] of a run with decoupled weight decay
    recording.json       written last: the head, and size and SHA-256 of every span

A span is written under another name, flushed and renamed, so a killed run leaves whole spans and no closing file.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from byline.curvature.trajectory import RecordedSteps
from byline.errors import InvalidInput, InvalidTask
from byline.gradients.outer_products.blocks import Block
from byline.index.durable import TEMPORARY, atomic_replacement, replace_file, sync
from byline.index.tensors import write_tensors
from byline.index.verification import sha256_of

HEAD, CLOSING = "head.json", "recording.json"


class RecordingHead(BaseModel):
    """The description of a recording."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[2] = 2
    projection: Mapping[str, JsonValue]
    """The recipe's, as `model_dump`: kind, sizes, seeds."""
    scale: Mapping[str, JsonValue]
    """The recipe's, as `model_dump`: of the optimizer's second moments at each step, or none."""
    layers: Literal["all", "last"]
    """The recipe's."""
    train_signal: str
    """The recipe's."""
    blocks: tuple[Block, ...]
    """Parameters whose gradients were projected."""
    width: int = Field(ge=1)
    """K, numbers of a projected gradient."""
    rows: int = Field(ge=1)
    """Size of the training set that rows are counted in."""


class SpanRecord(BaseModel):
    """One file of successive steps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(ge=1)
    visits: int = Field(ge=1)
    """Examples over all its steps."""
    size: int = Field(ge=1)
    """Bytes."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class _Closing(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    head: RecordingHead
    spans: tuple[SpanRecord, ...] = Field(min_length=1)


def _span_path(folder: Path, number: int) -> Path:
    return folder / f"span-{number:07d}.safetensors"


class RecordingWriter:
    """Appends steps. An incomplete span stays in memory.

    Args:
        folder: An empty or new one. `create` makes it.
        head: Description of the recording.
        span_bytes: Bytes of projected gradients that make a span.
    """

    def __init__(self, folder: Path, head: RecordingHead, span_bytes: int) -> None:
        self._folder, self._head, self._span_bytes = folder, head, span_bytes
        self._held: list[tuple[Tensor, Tensor, float, float]] = []
        self._held_bytes = 0
        self._spans: list[SpanRecord] = []
        self.steps = 0
        """Steps so far."""

    def create(self) -> None:
        """Make the folder and write the head.

        Raises:
            InvalidInput: There is something in the folder already.
        """
        if self._folder.exists() and (not self._folder.is_dir() or any(self._folder.iterdir())):
            raise InvalidInput(
                f"expected {self._folder} to be a new or empty folder for the recording: choose another, or delete it "
                f"(a run that was interrupted is recorded from its first step again)"
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        replace_file(self._folder / HEAD, self._head.model_dump_json(indent=1).encode())

    def append(self, rows_N: Tensor, phi_NK: Tensor, rate: float, decay: float = 0.0) -> None:
        """Add one step.

        Args:
            rows_N: int64, the batch's rows of the training set.
            phi_NK: float32, their projected gradients.
            rate: The learning rate of the step.
            decay: Share of the weights that weight decay takes in the step.
        """
        self.steps += 1
        self._held.append((rows_N, phi_NK, rate, decay))
        self._held_bytes += phi_NK.numel() * phi_NK.element_size()
        if self._held_bytes >= self._span_bytes:
            self._write_span()

    def close(self) -> None:
        """Write the last span, and the file that makes the recording complete.

        Raises:
            InvalidInput: No step was recorded.
        """
        if self._held:
            self._write_span()
        if not self._spans:
            raise InvalidInput(
                "expected at least one recorded step, got none: call recorder.step in the training loop"
            )
        closing = _Closing(head=self._head, spans=tuple(self._spans))
        replace_file(self._folder / CLOSING, closing.model_dump_json(indent=1).encode())

    def _write_span(self) -> None:
        rows, phis, rates, decays = zip(*self._held, strict=True)
        path = _span_path(self._folder, len(self._spans))
        tensors = {
            "phi": torch.cat(phis),
            "rows": torch.cat(rows),
            "sizes": torch.tensor([len(each) for each in rows]),
            "rates": torch.tensor(rates, dtype=torch.float64),
        }
        if any(decays):
            tensors["decays"] = torch.tensor(decays, dtype=torch.float64)
        with atomic_replacement(path) as temporary:
            write_tensors(temporary, tensors)
        sync(self._folder)
        self._spans.append(
            SpanRecord(
                steps=len(rates),
                visits=len(tensors["rows"]),
                size=path.stat().st_size,
                sha256=sha256_of(path),
            )
        )
        self._held, self._held_bytes = [], 0


@dataclass(frozen=True)
class Recording:
    """A complete recorded run."""

    folder: Path
    head: RecordingHead
    spans: tuple[SpanRecord, ...]
    digest: str
    """SHA-256 of the closing file, which holds those of all spans."""

    def read(self, number: int) -> RecordedSteps:
        """Load one span.

        Args:
            number: Its position. 0 holds the first steps.

        Returns:
            Its steps.

        Raises:
            InvalidTask: The file is missing, or is not what was recorded.
        """
        path, record = _span_path(self.folder, number), self.spans[number]
        try:
            data = (
                path.read_bytes()
            )  # the digested bytes are those that are used, even if the file changes now
            if hashlib.sha256(data).hexdigest() != record.sha256:
                raise InvalidTask(f"{path} differs from its checksum: restore the recording, or record again")
            tensors = load(data)
        except (OSError, SafetensorError) as error:
            raise InvalidTask(f"{path} cannot be read: restore the recording, or record again") from error
        return RecordedSteps(
            phi_NK=tensors["phi"],
            rows_N=tensors["rows"],
            sizes_S=tensors["sizes"],
            rates_S=tensors["rates"],
            decays_S=tensors.get("decays"),
        )


def open_recording(folder: Path) -> Recording:
    """Open a recorded run. Its spans are read and checked later, one by one.

    Args:
        folder: Folder of `Checkpoint.recording`.

    Returns:
        The recording.

    Raises:
        InvalidTask: There is none, it is incomplete, or another release wrote it.
    """
    try:
        data = (folder / CLOSING).read_bytes()
    except OSError as error:
        raise InvalidTask(_missing(folder)) from error
    try:
        closing = _Closing.model_validate_json(data)
    except ValidationError as error:
        raise InvalidTask(
            f"{folder / CLOSING} is not the closing file of a recording that this release reads: restore it, or record again"
        ) from error
    return Recording(folder, closing.head, closing.spans, hashlib.sha256(data).hexdigest())


def _missing(folder: Path) -> str:
    if not (folder / HEAD).is_file():
        return (
            f"expected the recording of a training run at {folder}, found none: record one "
            f"(byline.recording.TrainingRecorder)"
        )
    kept = [path for path in folder.glob("span-*") if not path.name.startswith(TEMPORARY)]
    return (
        f"the recording at {folder} is incomplete: the run ended before its `with` block did, after {len(kept)} "
        f"whole spans; a run is attributed from its first step to its last, so delete the folder and record again"
    )


def require_recording(folder: Path | None, expected: RecordingHead) -> Recording:
    """Open the recording of a checkpoint's run, and hold that it is what an index needs.

    Args:
        folder: `Checkpoint.recording`.
        expected: Head that a recorder of the same Task and recipe would write.

    Returns:
        The recording.

    Raises:
        InvalidTask: There is none, or it is of another recipe, model or training set.
    """
    if folder is None:
        raise InvalidTask(
            "expected Checkpoint.recording, which this recipe's features come from, got None: record the training run "
            "(byline.recording.TrainingRecorder) and name its folder"
        )
    found = open_recording(folder)
    for field in ("projection", "scale", "layers", "train_signal", "rows"):
        wanted, got = getattr(expected, field), getattr(found.head, field)
        if got != wanted:
            raise InvalidTask(
                f"expected the recording at {folder} to be of {field} {wanted}, got one of {got}: record the run again, or "
                f"change the recipe to it"
            )
    if found.head.blocks != expected.blocks:
        raise InvalidTask(
            f"expected the recording at {folder} to be of the Task's {len(expected.blocks)} blocks of parameters, got one "
            f"of {len(found.head.blocks)} others: record the run again, or restore the model and Task.layers"
        )
    return found


def recording_digest(folder: Path | None) -> str:
    """Compute the SHA-256 that names every number of a checkpoint's recording.

    Raises:
        InvalidTask: There is none, or it is incomplete.
    """
    return "none" if folder is None else open_recording(folder).digest
