#!/bin/sh
# Starts kafka-exporter, which only asks. Reads: LISTEN, KAFKA.
# In the oldest words that a broker of Kafka 4 still takes (KIP-896), which are those its client is tested with most.
set -eu
exec kafka_exporter --web.listen-address="$LISTEN" --kafka.server="$KAFKA" --kafka.version=2.1.0
