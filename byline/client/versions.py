"""Calls for versions and aliases."""

from byline.api.page import Page
from byline.api.versions import AliasChangeInfo, AliasInfo, VersionInfo
from byline.client.calls import Flow, Pages, change, document, get, nothing, one, path_of


def versions(index: str, page_size: int | None = None) -> Pages[VersionInfo]:
    """Iterate over the versions of an index, ordered by name.

    Args:
        index: Name of the index, or an alias.
        page_size: Number of versions to fetch at a time.
    """
    return Pages(path=path_of("indexes", index, "versions"), document=Page[VersionInfo], page_size=page_size)


def version(index: str, name: str) -> Flow[VersionInfo]:
    """Describe a version of an index, with the progress of a running verification.

    Args:
        index: Name of the index, or an alias.
        name: Name of the version.
    """
    return get(path_of("indexes", index, "versions", name), document(VersionInfo))


def register_version(index: str, name: str) -> Flow[VersionInfo]:
    """Register a version. Registering it again changes nothing.

    Args:
        index: Name of the index.
        name: Name of a directory inside the index's directory.
    """
    path = path_of("indexes", index, "versions")
    return one(change("POST", path, VersionInfo, {"version": name}, repeatable=True))


def verify_version(index: str, name: str) -> Flow[VersionInfo]:
    """Start the verification of a version. `version` reports its progress until `verifying` is None.

    Args:
        index: Name of the index.
        name: Name of the version.
    """
    return one(change("POST", path_of("indexes", index, "versions", name, "verify"), VersionInfo))


def retire_version(index: str, name: str) -> Flow[VersionInfo]:
    """Retire a version for good. The service refuses while an alias points to it.

    Args:
        index: Name of the index.
        name: Name of the version.
    """
    return one(change("POST", path_of("indexes", index, "versions", name, "retire"), VersionInfo))


def aliases(page_size: int | None = None) -> Pages[AliasInfo]:
    """Iterate over the aliases, including the indexes' own names, ordered by name.

    Args:
        page_size: Number of aliases to fetch at a time.
    """
    return Pages(path=path_of("aliases"), document=Page[AliasInfo], page_size=page_size)


def alias(name: str) -> Flow[AliasInfo]:
    """Read the version that an alias points to.

    Args:
        name: Name of the alias.
    """
    return get(path_of("aliases", name), document(AliasInfo))


def alias_history(name: str, page_size: int | None = None) -> Pages[AliasChangeInfo]:
    """Iterate over the changes of an alias, newest first.

    Args:
        name: Name of the alias.
        page_size: Number of changes to fetch at a time.
    """
    path = path_of("aliases", name, "history")
    return Pages(path=path, document=Page[AliasChangeInfo], page_size=page_size)


def switch(name: str, index: str, version: str, expected: str | None) -> Flow[AliasInfo]:
    """Switch an alias to a verified version, if it points to the expected one.

    The client never repeats the call. If the answer is lost, read the alias again before you decide.

    Args:
        name: Name of the alias, such as the index's own name.
        index: Name of the index.
        version: New version of the alias.
        expected: Current version of the alias. None if the alias does not exist yet.

    Raises:
        Conflict: The alias points to another version.
    """
    wanted = {"index": index, "version": version, "expected": expected}
    return one(change("PUT", path_of("aliases", name), AliasInfo, wanted))


def roll_back(name: str, expected: str) -> Flow[AliasInfo]:
    """Return an alias to its previous version, if it points to the expected one.

    Args:
        name: Name of the alias.
        expected: Current version of the alias.

    Raises:
        Conflict: The alias points to another version.
    """
    return one(change("POST", path_of("aliases", name, "rollback"), AliasInfo, {"expected": expected}))


def delete_alias(name: str, expected: str) -> Flow[None]:
    """Delete an alias, if it points to the expected version. An index's own name cannot be deleted.

    Args:
        name: Name of the alias.
        expected: Current version of the alias.

    Raises:
        Conflict: The alias points to another version.
    """
    query = [("expected", expected)]
    return one(nothing("DELETE", path_of("aliases", name), query))
