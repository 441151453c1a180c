"""The same build gives the same bytes, and memory does not grow with rows."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from byline.api.query import Filter
from byline.errors import BuildFailed, InvalidTask
from byline.index.index import AttributionIndex
from byline.index.layout import OWNER_SUMS
from byline.index.writer import write_index
from byline.search.recall import measure_recall
from tests.byline.index.building import build, contents_of, example, heavy_tailed

STORAGES: list[dict[str, Any]] = [
    {"search": search, "keep": keep, "dtype": dtype}
    for search in ("exact", "compressed")
    for keep in ("rows", "codes")
    for dtype in ("fp16", "fp32")
]


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("storage", STORAGES, ids=lambda s: "-".join(s.values()))
def test_the_same_build_gives_the_same_bytes(tmp_path: Path, storage: dict[str, Any]) -> None:
    features = heavy_tailed(500, 40)
    written = [
        content(
            write_index(
                contents_of(features, widths=(30, 10), block=block, **storage),
                tmp_path / str(block),
                measure_recall=measure_recall,
            )
        )
        for block in (64, 7, 500)
    ]
    assert written[0] == written[1] == written[2]
    assert ("vectors/00000.npy" in written[0]) == (storage["keep"] == "rows")


def test_what_an_interrupted_writer_left_is_overwritten(tmp_path: Path) -> None:
    features = heavy_tailed(300, 16)
    expected = content(write_index(contents_of(features), tmp_path / "a"))

    class Killed(Exception):
        pass

    def after(steps: int) -> Callable[[str, int, int], None]:
        countdown = iter(range(steps))

        def interrupt(what: str, done: int, total: int) -> None:
            if next(countdown, None) is None:
                raise Killed

        return interrupt

    for steps in range(0, 18, 3):
        with pytest.raises(Killed):
            write_index(contents_of(features), tmp_path / "b", progress=after(steps))
        assert not (tmp_path / "b" / "manifest.json").exists()
    assert content(write_index(contents_of(features), tmp_path / "b")) == expected


def test_a_directory_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("all of it")
    with pytest.raises(BuildFailed, match="do not belong to an index"):
        write_index(contents_of(heavy_tailed(5, 3)), tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "all of it"


def test_columns_and_states_are_checked(tmp_path: Path) -> None:
    for field, value in (
        ("self_influence", np.zeros(4)),
        ("self_influence", np.full(5, np.nan)),
        ("row_weights", np.zeros(6)),
        ("states", {}),
    ):
        contents = contents_of(heavy_tailed(5, 3))
        object.__setattr__(contents, field, value)
        with pytest.raises(BuildFailed):
            write_index(contents, tmp_path / "v", measure_recall=measure_recall)
    contents = contents_of(heavy_tailed(5, 3))
    object.__setattr__(contents, "examples", lambda: map(example, range(6)))
    with pytest.raises(InvalidTask, match="expected 5 examples"):
        write_index(contents, tmp_path / "v", measure_recall=measure_recall)


def test_the_manifest_says_what_was_done_and_not_when(tmp_path: Path) -> None:
    index = build(tmp_path / "v", heavy_tailed(900, 64), search="compressed")
    manifest = json.loads((index.path / "manifest.json").read_bytes())["content"]
    assert set(manifest["files"]) | {"manifest.json"} == set(content(index.path))
    assert manifest["search"]["recall_at_10"] >= 0.999
    assert manifest["search"]["rescore_factor"] in {20, 40, 80, 90}
    assert set(manifest["libraries"]) >= {"byline", "faiss", "numpy", "sqlite", "torch"}
    assert str(tmp_path) not in json.dumps(manifest)


def test_a_chosen_factor_is_kept_and_measured(tmp_path: Path) -> None:
    index = build(tmp_path / "v", heavy_tailed(900, 16), search="compressed", rescore_factor=3)
    assert index.manifest.search.rescore_factor == 3
    assert 0 < (index.manifest.search.recall_at_10 or 0) < 0.999


@pytest.mark.parametrize("owners", ["all different", "none", "interleaved"])
def test_owner_sums_are_float64_sums_of_stored_rows(tmp_path: Path, owners: str) -> None:
    rows, contents = 5_000, contents_of(heavy_tailed(5_000, 8), dtype="fp32")
    names = {
        "all different": lambda row: f"o{row:05d}",
        "none": lambda _: None,
        "interleaved": lambda row: None if row % 7 == 0 else f"o{row % 3}",
    }[owners]
    described = [example(row).model_copy(update={"owner": names(row)}) for row in range(rows)]
    object.__setattr__(contents, "examples", lambda: iter(described))
    index = AttributionIndex.open(write_index(contents, tmp_path / "v", measure_recall=measure_recall))
    stored = index.vectors.gather(np.arange(rows)).astype(np.float64)
    assert index.owners.names == tuple(sorted({one.owner for one in described if one.owner}))
    for position, name in list(enumerate(index.owners.names))[:50]:
        chosen = index.examples.rows_matching(Filter(owner=[name]))
        np.testing.assert_array_equal(np.flatnonzero(np.asarray(index.owners.rows) == position), chosen)
        expected = stored[chosen].sum(axis=0)
        np.testing.assert_allclose(index.owners.sums[position], expected, rtol=1e-6, atol=1e-6)
    assert np.load(index.path / OWNER_SUMS).dtype == np.float32


MEASURE = """
import sys
from pathlib import Path
import numpy as np
from byline.index.writer import write_index
from byline.search.recall import measure_recall
from tests.byline.index.building import contents_of, example, heavy_tailed

rows, search, place = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
contents = contents_of(heavy_tailed(64, 256), search=search)
block = heavy_tailed(500, 256)
for field, value in dict(
    rows=rows,
    features=lambda: (block * (1 + i % 7) for i in range(rows // 500)),
    examples=lambda: map(example, range(rows)),
    self_influence=np.zeros(rows),
).items():
    object.__setattr__(contents, field, value)

peak = 0
def watch(what, done, total):
    global peak
    status = Path("/proc/self/status").read_text()
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in status.splitlines() if "kB" in line}
    peak = max(peak, kilobytes["VmRSS"])

write_index(contents, place, progress=watch, measure_recall=measure_recall)
print(peak)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
@pytest.mark.parametrize("search", ["exact", "compressed"])
def test_memory_does_not_grow_with_rows(tmp_path: Path, search: str) -> None:
    def megabytes(rows: int) -> float:
        command = [sys.executable, "-c", MEASURE, str(rows), search, str(tmp_path / str(rows))]
        root = Path(__file__).parents[3]
        # A fixed threshold gives freed blocks back at once: what is measured is what is held.
        settings = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "262144", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=root, env=settings, capture_output=True, text=True, check=True)
        return int(done.stdout) / 1024

    small, large = megabytes(10_000), megabytes(60_000)
    stored = 60_000 * 256 * 2 / 2**20
    # Allocators differ by a few MB between two runs; what must not be held is all 29.
    assert large - small < stored / 3, f"{small:.0f} MB for 10,000 rows, {large:.0f} MB for 60,000"


def test_measuring_recall_tells_how_far_it_is(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    contents = contents_of(heavy_tailed(200, 16), search="compressed")
    write_index(
        contents, tmp_path / "v", progress=lambda *step: seen.append(step), measure_recall=measure_recall
    )
    assert ("nearest rows", 200, 200) in seen
    assert ("recall", 1, 128) in seen
    assert ("recall", 128, 128) in seen
