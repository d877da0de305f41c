"""PostgreSQL: indexes by which any part of a name or of an identifier is found among a million entries.

They need `pg_trgm`, an extension that the owner of a database may install. Where that is not allowed the site works
without them, more slowly.
"""

from typing import Any

from django.db import DatabaseError, migrations, transaction

INDEXES = {
    "patient_search": (
        "mwl_admin_patient",
        "name_folded gin_trgm_ops, ideographic_name_key gin_trgm_ops, phonetic_name_key gin_trgm_ops, "
        "upper(patient_id::text) gin_trgm_ops",
    ),
    "requested_search": (
        "mwl_admin_requestedprocedure",
        "upper(accession_number::text) gin_trgm_ops, upper(requested_procedure_id::text) gin_trgm_ops",
    ),
    "step_search": (
        "mwl_admin_scheduledprocedurestep",
        "upper(scheduled_procedure_step_id::text) gin_trgm_ops",
    ),
}


def add_indexes(apps: Any, schema_editor: Any) -> None:
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    try:
        with transaction.atomic(connection.alias), connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except DatabaseError:
        return
    for name, (table, columns) in INDEXES.items():
        schema_editor.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {table} USING gin ({columns})")


def drop_indexes(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for name in INDEXES:
            schema_editor.execute(f"DROP INDEX IF EXISTS {name}")


class Migration(migrations.Migration):
    dependencies = [("mwl_admin", "0004_roles")]

    operations = [migrations.RunPython(add_indexes, drop_indexes)]
