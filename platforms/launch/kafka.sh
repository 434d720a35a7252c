#!/bin/sh
# Starts a KRaft broker, after formatting its storage the first time.
# Reads: JAVA, KAFKA_LIBS, HEAP_MB, CLASS_ARCHIVES, CDC_CONFIG (and in it cluster-id, where there are several nodes), CDC_DATA.
set -eu
umask 077
if [ ! -f "$CDC_DATA/meta.properties" ]; then
    if [ -f "$CDC_CONFIG/cluster-id" ]; then
        set -- -t "$(cat "$CDC_CONFIG/cluster-id")" # one of several, which server.properties names
    else
        set -- -t "$(head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | cut -c 1-22)" --standalone
    fi
    "$JAVA" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$KAFKA_LIBS/*" \
        -Dlog4j2.configurationFile="$CDC_CONFIG/log4j2.properties" \
        kafka.tools.StorageTool format --ignore-formatted \
        "$@" -c "$CDC_CONFIG/server.properties"
fi
exec "$JAVA" "-Xms${HEAP_MB}m" "-Xmx${HEAP_MB}m" -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError \
    -XX:+AutoCreateSharedArchive -XX:SharedArchiveFile="$CLASS_ARCHIVES/kafka.jsa" -Xlog:cds=off -Xlog:cds+dynamic=off \
    -Djava.awt.headless=true -Dlog4j2.configurationFile="$CDC_CONFIG/log4j2.properties" \
    -cp "$KAFKA_LIBS/*" kafka.Kafka "$CDC_CONFIG/server.properties"
