#!/bin/sh
# Starts a Kafka Connect worker. Reads: JAVA, KAFKA_LIBS, HEAP_MB, CDC_CONFIG, CDC_DATA.
set -eu
umask 077
exec "$JAVA" "-Xms${HEAP_MB}m" "-Xmx${HEAP_MB}m" -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError \
    -XX:+AutoCreateSharedArchive -XX:SharedArchiveFile="$CDC_DATA.jsa" -Xlog:cds=off -Xlog:cds+dynamic=off \
    -Djava.awt.headless=true -Dlog4j2.configurationFile="$CDC_CONFIG/log4j2.properties" \
    -cp "$KAFKA_LIBS/*" org.apache.kafka.connect.cli.ConnectDistributed "$CDC_CONFIG/connect-distributed.properties"
