# Stands in for prom/prometheus, prom/alertmanager, prom/node-exporter and prometheuscommunity/postgres-exporter:
# Debian's own builds of them, under the official paths, with the busybox that the official images are made on.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
        busybox prometheus prometheus-alertmanager prometheus-node-exporter prometheus-postgres-exporter \
    && ln -s busybox /bin/wget && rm -rf /var/lib/apt/lists/* /var/lib/prometheus
RUN for name in alertmanager node-exporter postgres-exporter; do \
        ln -s "prometheus-$name" "/usr/bin/$(echo $name | tr - _)"; \
    done \
    && install -d -o 65534 -g 65534 /prometheus /alertmanager
