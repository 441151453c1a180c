import numpy as np
import pytest

from byline.features.sampling import cut_batches, fit_sample
from byline_indexer.units.plan import MAX_FIT_BLOCKS, BuildPlan, Numerics, cut_fit_blocks
from byline_indexer.units.unit import Stage

NUMERICS = Numerics(block_rows=16, batch_rows=8, threads=1, device="cpu", precision="float32")


def test_the_grid_covers_every_row_once(plan: BuildPlan) -> None:
    rows = [row for block in range(plan.block_count) for row in plan.block_rows(block)]
    assert rows == list(range(plan.rows))
    assert plan.block_count == 6


def test_a_sample_is_sorted_distinct_and_part_of_a_larger_one() -> None:
    small, large = fit_sample(1000, 100), fit_sample(1000, 400)
    assert len(small) == 100
    assert (np.diff(small) > 0).all()
    assert set(small) < set(large)
    assert abs(large.mean() - 500) < 50


@pytest.mark.parametrize("sample", [None, 50, 51])
def test_a_sample_of_everything_is_everything(sample: int | None) -> None:
    assert (fit_sample(50, sample) == np.arange(50)).all()


@pytest.mark.parametrize("rows", [1, 8, 90, 5000])
def test_fit_blocks_are_few_and_whole_batches(rows: int) -> None:
    blocks = cut_fit_blocks(np.arange(rows), NUMERICS)
    assert len(blocks) <= MAX_FIT_BLOCKS
    assert np.concatenate(blocks).tolist() == list(range(rows))
    assert all(len(block) % NUMERICS.batch_rows == 0 for block in blocks[:-1])


def test_batches_do_not_depend_on_the_blocks() -> None:
    rows = np.arange(90)
    whole = [batch.tolist() for batch in cut_batches(rows, 8)]
    blocks = cut_fit_blocks(rows, NUMERICS)
    assert [b.tolist() for block in blocks for b in cut_batches(block, 8)] == whole


def test_stages_come_in_the_order_of_their_needs(plan: BuildPlan) -> None:
    stages = [stage[0].stage for stage in plan.stages("c0")]
    assert stages == [Stage.PROJECT, Stage.MEASURE, Stage.REDUCE, Stage.EMIT]


def test_the_record_names_no_machine(plan: BuildPlan) -> None:
    record = plan.record()
    assert record["fit_rows"] == {"fisher": 90}
    assert record["threads"] == 1
    assert str(plan.work) not in repr(record)
