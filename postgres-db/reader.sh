#!/bin/sh
# Runs once, when the image makes a new database: a role for the websocket server, which only reads.
set -eu
password=$(cat "${READER_PASSWORD_FILE:-/run/secrets/exchange/reader_password}")
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
  --set "reader_password=$password" <<'SQL'
CREATE ROLE exchange_reader LOGIN PASSWORD :'reader_password';
ALTER ROLE exchange_reader SET default_transaction_read_only = on;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO exchange_reader;
SQL
