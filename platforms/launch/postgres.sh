#!/bin/sh
# Starts Postgres, after making its data folder the first time. What an image's entrypoint is to a
# container, this is to the native process. Reads: POSTGRES (installation), CDC_CONFIG, CDC_DATA.
set -eu
umask 077
password=$CDC_CONFIG/superuser-password
known=$CDC_DATA.password

if [ ! -f "$CDC_DATA/PG_VERSION" ]; then
    # Beside and then renamed: an initdb that was killed is not taken for a database.
    rm -rf "$CDC_DATA.new"
    "$POSTGRES/bin/initdb" -D "$CDC_DATA.new" -U postgres --pwfile="$password" \
        --auth=scram-sha-256 -E UTF8 --locale-provider=libc --locale=C.UTF-8
    if [ -d "$CDC_DATA" ]; then rmdir "$CDC_DATA"; fi
    mv "$CDC_DATA.new" "$CDC_DATA"
    cp -f "$password" "$known"
fi

set -- -D "$CDC_DATA" -c config_file="$CDC_CONFIG/postgresql.conf" -c hba_file="$CDC_CONFIG/pg_hba.conf"

# The data outlives the stack and the stack's generated password does not: bring them together.
if ! cmp -s "$password" "$known"; then
    printf "ALTER ROLE postgres PASSWORD '%s'\n" "$(cat "$password")" |
        "$POSTGRES/bin/postgres" --single "$@" postgres >/dev/null
    # By force: as a container's file it came without the right to write, which the copy took over.
    cp -f "$password" "$known"
fi
exec "$POSTGRES/bin/postgres" "$@"
