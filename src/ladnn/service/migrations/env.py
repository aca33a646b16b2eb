"""Run by Alembic for every step; the connection comes from `migrations._run`."""

from alembic import context

from ladnn.service.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,  # SQLite changes a table by making it anew
)
with context.begin_transaction():
    context.run_migrations()
