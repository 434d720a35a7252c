#!/bin/sh
# Starts node-exporter. Reads: LISTEN. The machine's processes are its own ones here, its files lie below /host.
# What counts a network would count the container's own: left out, rather than taken for the machine's.
set -eu
exec node_exporter --web.listen-address="$LISTEN" --path.rootfs=/host \
    --no-collector.arp --no-collector.netclass --no-collector.netdev --no-collector.netstat \
    --no-collector.sockstat --no-collector.udp_queues
