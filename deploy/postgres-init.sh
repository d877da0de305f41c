#!/bin/bash
# Runs once, when the database server starts with an empty volume: two databases, each with a role of its own.
set -euo pipefail

make_database() { # name of role and database, password
    psql --set ON_ERROR_STOP=1 --quiet --username postgres --set name="$1" --set password="$2" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name" ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
}

make_database worklist "$WORKLIST_DB_PASSWORD"
make_database pacs "$PACS_DB_PASSWORD"
