"""Alembic's entry point: the connection comes from :func:`pacs_receiver.database.migrate`."""

from alembic import context

from pacs_receiver.index_tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
