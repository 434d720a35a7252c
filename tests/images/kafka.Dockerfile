# Stands in for the official apache/kafka image: the same folders and account, the pinned jars.
FROM debian:bookworm-slim
RUN groupadd -g 1000 appuser && useradd -u 1000 -g 1000 appuser \
    && install -d -o 1000 -g 1000 /var/lib/kafka/data
COPY java/ /opt/java/openjdk/
COPY kafka/ /opt/kafka/libs/
ENV PATH=/opt/java/openjdk/bin:/usr/local/bin:/usr/bin:/bin
VOLUME /var/lib/kafka/data
