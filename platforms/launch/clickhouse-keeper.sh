#!/bin/sh
# Starts a ClickHouse Keeper. Reads: CDC_CONFIG, CDC_DATA.
set -eu
umask 077
mkdir -p "$CDC_DATA"
exec clickhouse-keeper --config-file="$CDC_CONFIG/keeper.xml"
