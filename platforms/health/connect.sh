#!/bin/bash
# Whether the worker is in its group and no connector or task has failed. Only /health tells the first:
# the other requests are answered before the worker has read its topics (KIP-1017). Reads: HEALTH_PORT.
set -eu
ask() { # the answer to its end, without a child process
    exec 3<>"/dev/tcp/127.0.0.1/$HEALTH_PORT"
    printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$1" >&3
    IFS= read -r -d '' -t 2 answer <&3 || true
    [[ $answer == HTTP/1.?\ 200* ]]
}
ask /health
ask '/connectors?expand=status'
[[ $answer != *'"state":"FAILED"'* ]]
