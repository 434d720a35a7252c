-- Messages kept raw with their reason. Read it with FINAL: a redelivery replaces itself, a replay
-- that succeeded takes the letter away. One Kafka message can hold several JSON objects, so the
-- position alone does not identify a letter.
ENGINE = ReplacingMergeTree(_version, _deleted)
ORDER BY (source, topic, partition, offset, sipHash64(message))
