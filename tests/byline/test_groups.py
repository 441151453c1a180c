"""The partition of training points into groups."""

import numpy as np

from byline.groups import GroupPartition


def test_members_of_groups() -> None:
    members = GroupPartition.of(np.array([2, 0, 1, 0, 2, 2]))
    assert [members[j].tolist() for j in range(3)] == [[1, 3], [2], [0, 4, 5]]
    assert members.group_of_rows.tolist() == [2, 0, 1, 0, 2, 2]
    assert members.points(np.array([2, 0])).tolist() == [0, 4, 5, 1, 3]
