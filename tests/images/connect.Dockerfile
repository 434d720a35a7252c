# Stands in for Debezium's connect image: the same folders and account, the pinned jars.
FROM debian:bookworm-slim
RUN groupadd -g 1001 kafka && useradd -u 1001 -g 1001 kafka && install -d -o 1001 -g 1001 /kafka/data
COPY java/ /opt/java/openjdk/
COPY kafka/ /kafka/libs/
COPY debezium/ /kafka/connect/
ENV PATH=/opt/java/openjdk/bin:/usr/local/bin:/usr/bin:/bin
VOLUME /kafka/data
