"""Run by Alembic for every step; the connection comes from `migrations._run`."""

from alembic import context

from ladnn.service import tables_contributions  # noqa: F401  # adds its tables to Base
from ladnn.service.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite changes a table by making it anew
)
with context.begin_transaction():
    context.run_migrations()
