#!/bin/bash
# Whether the server answers over HTTP. Reads: HEALTH_PORT.
set -eu
exec 3<>"/dev/tcp/127.0.0.1/$HEALTH_PORT"
printf 'GET /ping HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
[[ $(cat <&3) == HTTP/1.?\ 200* ]]
