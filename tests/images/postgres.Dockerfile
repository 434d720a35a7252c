# Stands in for the official postgres image: the same folders and account, the pinned native binaries.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends postgresql-client-15 \
    && ln -s /usr/lib/postgresql/15/bin/pg_isready /usr/local/bin/ && rm -rf /var/lib/apt/lists/*
RUN groupadd -g 999 postgres && useradd -u 999 -g 999 -d /var/lib/postgresql postgres \
    && install -d -o 999 -g 999 -m 1777 /var/lib/postgresql/data
COPY postgres/ /usr/lib/postgresql/16/
VOLUME /var/lib/postgresql/data
