#!/bin/sh
# Starts postgres-exporter. Reads: LISTEN, CDC_CONFIG, DATA_SOURCE_URI, DATA_SOURCE_USER.
# It has no configuration of its own: a file would only name logins to servers that a request asks for.
set -eu
export DATA_SOURCE_PASS_FILE="$CDC_CONFIG/password"
exec postgres_exporter --web.listen-address="$LISTEN"
