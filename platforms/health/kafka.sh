#!/bin/bash
# Whether the broker lists its topics: one Metadata request by hand, since Kafka's own tool is a JVM
# that takes a second of a core each time (https://kafka.apache.org/protocol#The_Messages_Metadata).
# Reads: HEALTH_PORT.
set -eu
exec 3<>"/dev/tcp/127.0.0.1/$HEALTH_PORT"
# 14 bytes follow: request 3, version 1, correlation 0x0c0d0c0d, no client name, all topics
printf '\x00\x00\x00\x0e\x00\x03\x00\x01\x0c\x0d\x0c\x0d\xff\xff\xff\xff\xff\xff' >&3
# The answer: its length, then the correlation
[ "$(head -c 8 <&3 | tail -c 4 | od -An -tx1 | tr -d ' ')" = 0c0d0c0d ]
