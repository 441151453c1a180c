import pytest

from tests.service.office import office


@pytest.fixture(scope="session")
def house(tmp_path_factory):
    """An office for tests that only read.

    Yields:
        The office of `tests.service.office`, with keys of three persons.
    """
    folder = tmp_path_factory.mktemp("office")
    with office(folder, letterhead="Example Collecting Society\n1 Main Street, Exampletown") as found:
        found.keys = {
            "ada": found.key_for(scopes=["read", "compensate", "query", "approve"], person="ada"),
            "grace": found.key_for(scopes=["approve"], person="grace"),
            "owner": found.key_for(scopes=["read"], owners=["owner 1"], person="owner 1"),
        }
        yield found
