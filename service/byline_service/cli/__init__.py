"""Commands of the service: `serve`, `migrate`, `settings`, and those of its records. They import heavy modules late."""

import typer

from byline_service.cli import consents, keys, ledger, migrate, parties, rights, serve, settings, versions


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(serve.serve)
    app.command()(migrate.migrate)
    app.command()(settings.settings)
    app.add_typer(keys.app, name="keys")
    app.add_typer(parties.app, name="parties")
    app.add_typer(rights.app, name="rights")
    app.add_typer(versions.app, name="versions")
    app.add_typer(consents.app, name="consents")
    app.add_typer(ledger.app, name="ledger")
