#!/bin/sh
# Starts Prometheus. Reads: LISTEN, RETENTION, CDC_CONFIG, CDC_DATA.
set -eu
umask 077
exec prometheus --config.file="$CDC_CONFIG/prometheus.yml" --web.listen-address="$LISTEN" \
    --storage.tsdb.path="$CDC_DATA" --storage.tsdb.retention.time="$RETENTION"
