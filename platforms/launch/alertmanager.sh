#!/bin/sh
# Starts Alertmanager, one of its own: without an address for others of a cluster. Reads: LISTEN, CDC_CONFIG, CDC_DATA.
set -eu
umask 077
exec alertmanager --config.file="$CDC_CONFIG/alertmanager.yml" --web.listen-address="$LISTEN" \
    --storage.path="$CDC_DATA" --cluster.listen-address=
