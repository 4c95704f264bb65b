#!/bin/sh
# Create or upgrade the two databases of the Temporal server. Every step may be repeated; the password is in SQL_PASSWORD.
set -eu

tool() {
    temporal-sql-tool --plugin "$DB" --ep "$POSTGRES_SEEDS" -p "$DB_PORT" -u "$POSTGRES_USER" "$@"
}

for database in temporal temporal_visibility; do
    # `temporal` has its schema in the folder "temporal", `temporal_visibility` in "visibility".
    folder=${database#temporal_}
    tool --db "$database" create
    tool --db "$database" setup-schema -v 0.0
    tool --db "$database" update-schema -d "/etc/temporal/schema/postgresql/v12/$folder/versioned"
done
