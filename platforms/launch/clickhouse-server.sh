#!/bin/sh
# Starts a ClickHouse server. Reads: CDC_CONFIG, CDC_DATA.
set -eu
umask 077
mkdir -p "$CDC_DATA"
exec clickhouse-server --config-file="$CDC_CONFIG/config.xml"
