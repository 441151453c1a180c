"""Versions of an index and the names that stand for them: what the methods of both clients send."""

from byline.api.versions import AliasChangeInfo, AliasHistory, AliasInfo, AliasPage, VersionInfo, VersionPage
from byline.client.calls import Flow, Pages, change, document, entries_of, get, nothing, one, path_of


def versions(index: str, page_size: int | None = None) -> Pages[VersionInfo]:
    """Go through the versions of an index by name, page by page.

    Args:
        index: The index, or an alias of it.
        page_size: Versions that are fetched at a time.
    """
    read = entries_of(VersionPage, lambda page: page.versions)
    return Pages(path=path_of("indexes", index, "versions"), read=read, page_size=page_size)


def version(index: str, name: str) -> Flow[VersionInfo]:
    """Describe a version of an index; while it is verified, how far that is.

    Args:
        index: The index, or an alias of it.
        name: The version.
    """
    return get(path_of("indexes", index, "versions", name), document(VersionInfo))


def register_version(index: str, name: str) -> Flow[VersionInfo]:
    """Make a version known; the same again changes nothing.

    Args:
        index: The index.
        name: Name of a directory inside the index's own.
    """
    path = path_of("indexes", index, "versions")
    return one(change("POST", path, VersionInfo, {"version": name}, repeatable=True))


def verify_version(index: str, name: str) -> Flow[VersionInfo]:
    """Begin to verify a version; `version` says how far it is, until its `verifying` is None.

    Args:
        index: The index.
        name: The version.
    """
    return one(change("POST", path_of("indexes", index, "versions", name, "verify"), VersionInfo))


def retire_version(index: str, name: str) -> Flow[VersionInfo]:
    """Take a version out of service for good; refused while an alias stands for it.

    Args:
        index: The index.
        name: The version.
    """
    return one(change("POST", path_of("indexes", index, "versions", name, "retire"), VersionInfo))


def aliases(page_size: int | None = None) -> Pages[AliasInfo]:
    """Go through the aliases by name, the indexes' own names among them, page by page.

    Args:
        page_size: Aliases that are fetched at a time.
    """
    read = entries_of(AliasPage, lambda page: page.aliases)
    return Pages(path=path_of("aliases"), read=read, page_size=page_size)


def alias(name: str) -> Flow[AliasInfo]:
    """Say which version a name stands for.

    Args:
        name: The alias.
    """
    return get(path_of("aliases", name), document(AliasInfo))


def alias_history(name: str, page_size: int | None = None) -> Pages[AliasChangeInfo]:
    """Go through what a name stood for, the latest change first, page by page.

    Args:
        name: The alias.
        page_size: Changes that are fetched at a time.
    """
    read = entries_of(AliasHistory, lambda page: page.changes)
    path = path_of("aliases", name, "history")
    return Pages(path=path, read=read, page_size=page_size, cursor="before")


def switch(name: str, index: str, version: str, expected: str | None) -> Flow[AliasInfo]:
    """Have a name stand for a verified version, if it stands for what is expected: all or nothing.

    It is sent once: where the answer is lost, read the alias again before you decide.

    Args:
        name: The alias, such as the index's own name.
        index: The index.
        version: The version that it shall stand for.
        expected: The version that it stands for now; None where there is no such alias yet.

    Raises:
        Conflict: It stands for something else.
    """
    wanted = {"index": index, "version": version, "expected": expected}
    return one(change("PUT", path_of("aliases", name), AliasInfo, wanted))


def roll_back(name: str, expected: str) -> Flow[AliasInfo]:
    """Return a name to the version that it stood for before, if it stands for what is expected.

    Args:
        name: The alias.
        expected: The version that it stands for now.

    Raises:
        Conflict: It stands for something else.
    """
    return one(change("POST", path_of("aliases", name, "rollback"), AliasInfo, {"expected": expected}))


def delete_alias(name: str, expected: str) -> Flow[None]:
    """Forget a name, if it stands for what is expected; an index's own name stays.

    Args:
        name: The alias.
        expected: The version that it stands for now.

    Raises:
        Conflict: It stands for something else.
    """
    query = [("expected", expected)]
    return one(nothing("DELETE", path_of("aliases", name), query))
