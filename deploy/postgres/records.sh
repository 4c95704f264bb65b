#!/bin/sh
# A database and an owner for the records, beside Temporal's own. Runs once, when the volume is new.
set -eu

# The password comes on standard input: not in the arguments, where every process on the machine could read it.
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<SQL
CREATE ROLE holdfast LOGIN PASSWORD '$(printf %s "$RECORDS_PASSWORD" | sed "s/'/''/g")';
CREATE DATABASE holdfast OWNER holdfast;
SQL
