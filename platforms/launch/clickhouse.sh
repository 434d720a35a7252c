#!/bin/sh
# Starts the embedded ClickHouse. Reads: PYTHON, PYTHONPATH, HTTP_PORT, CDC_CONFIG, CDC_DATA.
set -eu
umask 077
exec "$PYTHON" -m embedded --config "$CDC_CONFIG/config.xml" --users "$CDC_CONFIG/users.xml" \
    --data "$CDC_DATA" --host 127.0.0.1 --http-port "$HTTP_PORT"
