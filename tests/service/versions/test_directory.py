"""What is wrong with a version is found before it is served, and said in few words."""

import os

import pytest

from byline.errors import InvalidInput, NotFound
from byline_service.versions.directory import UnusableError
from tests.service.versions.building import directory, flip


def nothing(done, total):
    """Progress that nobody wants."""


def missing(version):
    (version / "search.faiss").unlink()


def extra(version):
    (version / "columns" / "more.npy").write_bytes(b"more")


def truncated(version):
    with (version / "examples.sqlite").open("r+b") as file:
        file.truncate(100)


def flipped(version):
    flip(version / "groups" / "owner_sums.npy")


def manifest_flipped(version):
    flip(version / "manifest.json", 40)


def manifest_missing(version):
    (version / "manifest.json").unlink()


def stale_task(version):
    task = version.parents[1] / "tiny_task.py"
    task.write_text(task.read_text().replace("WEIGHT_SHIFT = 0.0", "WEIGHT_SHIFT = 0.5"))


def no_task(version):
    (version.parents[1] / "tiny_task.py").unlink()


DAMAGES = {
    missing: "search.faiss: is missing",
    extra: "columns/more.npy: is not in the manifest",
    truncated: "examples.sqlite: has 100 bytes",
    flipped: "groups/owner_sums.npy: its SHA-256 differs",
    manifest_flipped: "manifest.json",
    manifest_missing: "manifest.json",
    stale_task: "changed since this index was built",
    no_task: "Python file",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_every_damage_is_found_by_opening_and_by_verifying(index, damage):
    damage(index.path / index.b)
    for read in (lambda d: d.open(index.b), lambda d: d.verify(index.b, None, nothing)):
        with pytest.raises(UnusableError, match=DAMAGES[damage]) as raised:
            read(directory(index.folder))
        assert str(index.path) not in str(raised.value)
    assert directory(index.folder).facts(index.a).manifest_digest is not None


def test_a_bit_that_rots_without_a_trace_is_found_by_verifying(index):
    directory(index.folder).open(index.b)
    path = index.path / index.b / "search.faiss"
    before = path.stat()
    flip(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(UnusableError, match=r"search\.faiss"):
        directory(index.folder).verify(index.b, None, nothing)


def test_other_files_under_a_registered_name_are_refused(index):
    with pytest.raises(UnusableError, match="not the one that was registered"):
        directory(index.folder).open(index.b, "0" * 64)


def test_a_version_is_opened_with_its_name_and_facts(index):
    version = directory(index.folder).verify(index.b, None, nothing)
    facts = directory(index.folder).facts(index.b)
    assert version.version == version.attributor.index.version == index.b
    assert version.attributor.name == "tiny"
    assert facts.manifest_digest == version.attributor.index.manifest.digest
    assert (facts.recipe, facts.recipe_fingerprint) == ("ekfac", version.attributor.recipe_fingerprint)


@pytest.mark.parametrize("name", ["../copy", "..", ".digests.json", "a/b", "A", "", "x" * 65, "a\n"])
def test_a_path_is_no_name(index, name):
    with pytest.raises(InvalidInput):
        directory(index.folder).folder(name)


def test_what_is_not_there_or_a_link_is_not_found(index):
    (index.path / "link").symlink_to(index.path / index.b)
    for name in ("nothing", "link", "current"):
        with pytest.raises(NotFound):
            directory(index.folder).folder(name)


def test_a_renamed_directory_is_refused(index):
    (index.path / index.b).rename(index.path / "renamed")
    with pytest.raises(InvalidInput, match=index.b):
        directory(index.folder).facts("renamed")


def test_a_damaged_manifest_leaves_the_name(index):
    manifest_flipped(index.path / index.b)
    facts = directory(index.folder).facts(index.b)
    assert (facts.version, facts.manifest_digest) == (index.b, None)


def test_verifying_says_how_far_it_is_and_can_be_ended(index):
    told = []
    directory(index.folder).verify(index.b, None, lambda *each: told.append(each))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == told[-1][1] > 0

    def stop(done, total):
        raise InterruptedError

    with pytest.raises((InterruptedError, UnusableError)):
        directory(index.folder).verify(index.b, None, stop)
