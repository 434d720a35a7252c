#!/bin/sh
# Starts the web interface of Kafka. Reads: HEAP_MB, CDC_CONFIG.
set -eu
exec java "-Xmx${HEAP_MB}m" -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true \
    --add-opens java.rmi/javax.rmi.ssl=ALL-UNNAMED \
    -jar /api.jar --spring.config.additional-location="file:$CDC_CONFIG/kafka-ui.yml"
