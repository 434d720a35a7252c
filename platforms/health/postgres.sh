#!/bin/bash
# Whether Postgres takes connections. Reads: HEALTH_PORT.
exec pg_isready -q -h 127.0.0.1 -p "$HEALTH_PORT"
