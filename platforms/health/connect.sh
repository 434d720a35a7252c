#!/bin/bash
# Whether the worker is in its group and no connector or task has failed. Reads: HEALTH_PORT.
set -eu
exec 3<>"/dev/tcp/127.0.0.1/$HEALTH_PORT"
printf 'GET /connectors?expand=status HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
IFS= read -r -d '' -t 4 answer <&3 || true # to the end, without a child process
[[ $answer == HTTP/1.?\ 200* && $answer != *'"state":"FAILED"'* ]]
