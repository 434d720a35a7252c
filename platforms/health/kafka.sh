#!/bin/bash
# Whether the broker lists its topics: one Metadata request by hand, since Kafka's own tool is a JVM
# that takes a second of a core each time (https://kafka.apache.org/protocol#The_Messages_Metadata).
# No child process: one that outlives a check that took too long stays a zombie of the service's.
# Reads: HEALTH_PORT.
set -eu
LC_ALL=C
exec 3<>"/dev/tcp/127.0.0.1/$HEALTH_PORT"
# 14 bytes follow: request 3, version 1, correlation 0x0c0d0c0d, no client name, all topics
printf '\x00\x00\x00\x0e\x00\x03\x00\x01\x0c\x0d\x0c\x0d\xff\xff\xff\xff\xff\xff' >&3
# The answer: its length, then the correlation. Bash leaves zero bytes out.
IFS= read -r -N 6 -t 4 answer <&3
[[ $answer == *$'\x0c\x0d\x0c\x0d'* ]]
