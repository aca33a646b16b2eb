"""Every table of a site: who means all of them asks here and not the base class.

The base class knows the tables of those modules alone that were imported, and the program of a
single command, such as a backup, imports few.
"""

from sqlalchemy import MetaData

from ladnn.service import (
    tables,
    tables_accounts,
    tables_batches,
    tables_contributions,
    tables_models,
)

MODULES = (tables, tables_accounts, tables_batches, tables_contributions, tables_models)
"""Where they are declared."""

METADATA: MetaData = tables.Base.metadata
