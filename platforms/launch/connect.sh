#!/bin/sh
# Starts a Kafka Connect worker. Reads: JAVA, KAFKA_LIBS, HEAP_MB, CLASS_ARCHIVES, CDC_CONFIG; of an image also DEBEZIUM
# (folder of its jars) and PLUGINS (where the worker looks for plugins).
set -eu
umask 077
if [ -n "${DEBEZIUM:-}" ]; then
    # An image's Debezium: our converter goes beside its jars, a plugin sees its own folder only.
    mkdir -p "$PLUGINS/debezium"
    ln -sf "$DEBEZIUM"/*.jar "$CDC_CONFIG"/*.jar "$PLUGINS/debezium/"
fi
exec "$JAVA" "-Xms${HEAP_MB}m" "-Xmx${HEAP_MB}m" -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError \
    -XX:+AutoCreateSharedArchive -XX:SharedArchiveFile="$CLASS_ARCHIVES/connect.jsa" -Xlog:cds=off -Xlog:cds+dynamic=off \
    -Djava.awt.headless=true -Duser.timezone=UTC -Dlog4j2.configurationFile="$CDC_CONFIG/log4j2.properties" \
    -cp "$KAFKA_LIBS/*" org.apache.kafka.connect.cli.ConnectDistributed "$CDC_CONFIG/connect-distributed.properties"
