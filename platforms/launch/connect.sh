#!/bin/sh
# Starts a Kafka Connect worker. Reads: JAVA, KAFKA_LIBS, HEAP_MB, CLASS_ARCHIVES, CDC_CONFIG, CDC_DATA.
set -eu
umask 077
exec "$JAVA" "-Xms${HEAP_MB}m" "-Xmx${HEAP_MB}m" -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError \
    -XX:+AutoCreateSharedArchive -XX:SharedArchiveFile="$CLASS_ARCHIVES/connect.jsa" -Xlog:cds=off -Xlog:cds+dynamic=off \
    -Djava.awt.headless=true -Duser.timezone=UTC -Dlog4j2.configurationFile="$CDC_CONFIG/log4j2.properties" \
    -cp "$KAFKA_LIBS/*" org.apache.kafka.connect.cli.ConnectDistributed "$CDC_CONFIG/connect-distributed.properties"
