# Stands in for clickhouse/clickhouse-server, for one node: the embedded daemon under the server's name.
# It has no Keeper, no native port, no Replicated or Distributed tables, no TLS.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends python3-minimal libpython3.11-stdlib \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd -g 101 clickhouse && useradd -u 101 -g 101 clickhouse \
    && install -d -o 101 -g 101 /var/lib/clickhouse
COPY packages/ /opt/embedded/
COPY embedded/ /opt/embedded/embedded/
COPY clickhouse-server /usr/bin/clickhouse-server
ENV PYTHONPATH=/opt/embedded PYTHONDONTWRITEBYTECODE=1
VOLUME /var/lib/clickhouse
