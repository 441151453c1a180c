"""Reasons for which a caller cannot approve a run. The approval itself checks again."""

from byline.api.accounts import Scope
from byline.api.statements import RunDocument
from byline_service.accounts.makers import makers_of
from byline_service.accounts.scopes import Caller
from byline_service.compensation.runs import SamePerson, same_person
from byline_service.database import Connection
from byline_service.ledger import statement_queries

COMMON_MAKER = "One person made or could hold both your key and the drafter's. Another approver is needed."


async def obstacle(reading: Connection, caller: Caller, run: RunDocument) -> str | None:
    """Return why a caller cannot approve a run. None if they can.

    Args:
        reading: An open transaction.
        caller: The reader.
        run: The run.
    """
    if not caller.may(Scope.APPROVE):
        return "Your key does not have the scope approve."
    if same_person(caller.person, run.drafted_by):
        return "You drafted this run. Another person must approve it."
    if run.state != "draft":
        return None
    _, found = await statement_queries.find(reading, run.id)
    try:
        found.require_approvable(caller.person, await makers_of(reading, caller))
    except SamePerson:
        return COMMON_MAKER
    return None
