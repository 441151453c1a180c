"""What is served first: the aliases' versions, or else what the pointer in the directory names."""

from types import SimpleNamespace

import pytest

from byline.errors import IncompatibleIndex, InvalidInput, NotFound, UnusableIndex
from byline_service.accounts.scopes import Caller
from byline_service.settings import Settings
from byline_service.versions import transactions
from byline_service.versions.startup import IndexArgument, aliases_of, open_first
from byline_service.versions.transactions import Expected
from tests.service.versions.building import build_versions, directory, flip, of_an_older_byline

ADA = Caller(key_id="k", person="ada", scopes=frozenset())


def given(index, text=None):
    return IndexArgument.parse(text or f"tiny={index.path}", Settings(threads=1), with_task=False)


@pytest.fixture
def known(run, index):
    """Both versions verified; the alias stands for the second, which the pointer does not name."""

    async def work(database):
        lies_in = directory(index.folder)
        for version, was in ((index.a, None), (index.b, index.a)):
            facts = lies_in.facts(version)
            await transactions.register(database, ADA, facts)
            await transactions.mark_verified(database, ADA, facts)
            await transactions.switch(database, ADA, "tiny", facts, Expected(version=was))
        return await aliases_of(database, ["tiny"])

    return SimpleNamespace(aliases=run(work), run=run)


def test_the_pointer_is_followed_where_the_database_knows_nothing(index):
    opened = open_first(given(index), [])
    assert {name: each.version for name, each in opened.served.items()} == {"tiny": index.a}
    assert opened.served["tiny"].attributor.name == "tiny"


def test_the_name_is_the_given_one_or_the_tasks(index):
    assert given(index).name == given(index, str(index.path)).name == "tiny"
    assert given(index, f"other={index.path}").name == "other"
    with pytest.raises(InvalidInput):
        given(index, f"UP={index.path}")
    with pytest.raises(NotFound):
        given(index, str(index.path.parent / "nothing"))


def test_a_directory_may_have_an_equals_sign(index):
    place = index.path.parent / "a=b"
    place.mkdir()
    moved = index.path.rename(place / "index")
    assert given(index, str(moved)).name == "tiny"
    assert given(index, f"other={moved}").name == "other"


def test_the_alias_decides(index, known):
    assert open_first(given(index), known.aliases).served["tiny"].version == index.b


@pytest.mark.parametrize("how", ["damaged", "gone", "to a damaged manifest", "to nothing"])
def test_the_alias_decides_although_the_pointer_cannot_be_followed(index, known, how):
    match how:
        case "damaged":
            (index.path / "current").write_text("?\n")
        case "gone":
            (index.path / "current").unlink()
        case "to a damaged manifest":
            flip(index.path / index.a / "manifest.json", 0)
        case "to nothing":
            (index.path / "current").write_text("0123456789ab\n")
    found = given(index, str(index.path))
    assert found.name == "tiny"
    assert open_first(found, known.aliases).served["tiny"].version == index.b
    with pytest.raises(type(found.unusable)):
        open_first(found, [])


def test_a_version_itself_can_be_given_and_the_alias_still_decides(index, known):
    itself = given(index, f"tiny={index.path / index.a}")
    assert open_first(itself, known.aliases).served["tiny"].version == index.b
    assert open_first(itself, []).served["tiny"].version == index.a


def test_an_alias_of_another_folders_version_says_the_ways_out(index, known, tmp_path):
    """Two Tasks of one name in one data directory: the alias of the first is no version of the second."""
    for version in (index.a, index.b):
        (index.path / version).rename(tmp_path / version)
    build_versions(index.folder, sizes=(4,))
    settings = Settings(threads=1, data_dir=tmp_path / "data")
    found = IndexArgument.parse(str(index.path), settings, with_task=False)
    with pytest.raises(NotFound) as caught:
        open_first(found, known.aliases)
    said = str(caught.value)
    assert f"in {tmp_path / 'data'} the alias tiny points to version {index.b}" in said
    assert f"expected it in {index.path}, found no such directory" in said
    assert f"NAME={index.path} or set another BYLINE_DATA_DIR" in said
    assert f"`byline versions switch tiny={index.path} VERSION`" in said


def test_an_alias_of_an_older_bylines_version_says_the_way_out(index, known):
    for version in (index.a, index.b):
        of_an_older_byline(index.path / version)
    (index.path / "current").write_text(build_versions(index.folder, sizes=(4,))[0] + "\n")
    with pytest.raises(IncompatibleIndex) as caught:
        open_first(given(index), known.aliases)
    said = str(caught.value)
    assert "got 1, which an older Byline wrote: build the index again" in said
    assert f"the alias tiny points to version {index.b}: choose one that can be served with" in said
    assert f"`byline versions switch tiny={index.path} VERSION`" in said


def test_a_database_with_a_password_is_not_named(index, known, tmp_path):
    (index.path / index.b).rename(tmp_path / "b")
    (index.path / index.a).rename(tmp_path / "a")
    build_versions(index.folder, sizes=(4,))
    settings = Settings(threads=1, database_url="postgresql://ada:secret@somewhere/byline")
    found = IndexArgument.parse(str(index.path), settings, with_task=False)
    with pytest.raises(NotFound, match="in the database the alias tiny points to") as caught:
        open_first(found, known.aliases)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("how", ["damaged", "absent"])
def test_the_version_before_is_served_where_the_aliases_cannot_be(index, known, how):
    if how == "damaged":
        flip(index.path / index.b / "search.faiss")
    else:
        (index.path / index.b).rename(index.folder / "elsewhere")
    opened = open_first(given(index), known.aliases)
    assert opened.served["tiny"].version == index.a
    assert [facts.version for facts, _ in opened.unusable] == ([index.b] if how == "damaged" else [])


def test_nothing_to_serve_stops_the_start(index, known):
    for version in (index.a, index.b):
        flip(index.path / version / "search.faiss")
    with pytest.raises(UnusableIndex):
        open_first(given(index), known.aliases)


def test_other_aliases_are_opened_too_and_may_be_left_out(index, known):
    async def work(database):
        facts = directory(index.folder).facts(index.a)
        await transactions.switch(database, ADA, "staging", facts, Expected())
        return await aliases_of(database, ["tiny"])

    aliases = known.run(work)
    served = open_first(given(index), aliases).served
    assert {name: each.version for name, each in served.items()} == {"staging": index.a, "tiny": index.b}
    flip(index.path / index.a / "search.faiss")
    assert set(open_first(given(index), aliases).served) == {"tiny"}


def test_an_index_may_not_take_the_name_of_anothers_alias(index, known):
    async def work(database):
        facts = directory(index.folder).facts(index.a)
        await transactions.switch(database, ADA, "staging", facts, Expected())
        await aliases_of(database, ["staging"])

    with pytest.raises(InvalidInput, match="alias of tiny"):
        known.run(work)


def test_a_renamed_version_is_served_by_itself(index):
    renamed = index.path / "renamed"
    (index.path / index.b).rename(renamed)
    found = given(index, f"tiny={renamed}")
    assert not found.managed
    opened = open_first(found, [])
    assert (opened.served["tiny"].version, opened.served["tiny"].folder) == (index.b, None)
