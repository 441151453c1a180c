"""Lines of the audit log of a running application."""

from byline_service.accounts import audit


def audit_lines(served):
    """Return the lines, the oldest first."""

    async def read():
        async with served.app.state.service.database.read() as reading:
            return list(reversed(await audit.page(reading, None, 1000)))

    return served.client.portal.call(read)
