"""Alembic's way in. `holdfast.records.schema` hands over a connection that holds the lock."""

from alembic import context

from holdfast.records.tables import METADATA

connection = context.config.attributes["connection"]
# One transaction around all steps, begun by the caller: an upgrade happens whole or not at all, in SQLite too.
context.configure(connection=connection, target_metadata=METADATA, transactional_ddl=True)
context.run_migrations()
