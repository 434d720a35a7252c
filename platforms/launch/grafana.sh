#!/bin/sh
# Starts Grafana. Reads: CDC_CONFIG, CDC_DATA.
set -eu
umask 077
# The image sets these, and they would go before the file.
unset GF_PATHS_CONFIG GF_PATHS_DATA GF_PATHS_HOME GF_PATHS_LOGS GF_PATHS_PLUGINS GF_PATHS_PROVISIONING
password=$CDC_CONFIG/admin-password
known=$CDC_DATA/admin-password
mkdir -p "$CDC_DATA"
set -- --homepath=/usr/share/grafana --config="$CDC_CONFIG/grafana.ini"
# Grafana takes the password from its configuration only the first time. The data outlives the stack and
# the stack's generated password does not: bring them together.
if [ -f "$CDC_DATA/grafana.db" ] && ! cmp -s "$password" "$known"; then
    grafana cli "$@" admin reset-admin-password --password-from-stdin <"$password"
fi
cat "$password" >"$known"
exec grafana server "$@"
