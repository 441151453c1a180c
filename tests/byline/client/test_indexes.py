"""Indexes and their lists through both clients."""


def test_indexes_and_their_lists(client, attributors):
    assert [each.name for each in client.indexes()] == ["ensemble", "groups", "tiny"]
    info = client.index("ensemble")
    assert info.rows == 90
    assert [member.name for member in info.members] == ["c0-m0", "c0-m1", "c1-m0", "c1-m1"]
    rows = list(client.examples("ensemble", page_size=40))
    assert [each.row for each in rows] == list(range(90))
    assert client.example("ensemble", "point-7") == rows[7]
    assert [each.owner for each in client.owners("ensemble", page_size=3)] == [f"owner-{o}" for o in range(4)]
    order = [each.self_influence for each in client.self_influence("ensemble", page_size=50)]
    assert order == sorted(order, reverse=True)
    assert len(order) == 90


def test_pages_are_fetched_as_they_are_needed(client):
    rows = iter(client.examples("ensemble", page_size=10))
    assert [next(rows).row for _ in range(11)] == list(range(11))
