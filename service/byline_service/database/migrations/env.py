"""Alembic's environment: it runs in the process that calls it, over the connection that it is given."""

from alembic import context

from byline_service.database.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
)
context.run_migrations()  # in the one transaction that `Database.migration` began
