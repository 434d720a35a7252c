#!/bin/sh
# Whether the service answers over HTTP with success. Reads: HEALTH_PORT, HEALTH_PATH.
exec wget -q -O /dev/null "http://127.0.0.1:$HEALTH_PORT$HEALTH_PATH"
