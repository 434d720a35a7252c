-- The topic. With `stream` a message that is no JSON object arrives as _raw_message and _error; by
-- default it would stop the table for ever. Tombstones (null values) yield no row.
ENGINE = Kafka
SETTINGS
    kafka_broker_list = $bootstrap,
    kafka_topic_list = $topic,
    kafka_group_name = $group,
    kafka_format = 'JSONAsString',
    kafka_handle_error_mode = 'stream',
    kafka_num_consumers = $consumers,
    -- Each consumer writes its own blocks: one slow partition does not hold up the others.
    kafka_thread_per_consumer = 1,
    -- Both, for the flush waits for the poll: commit → queryable is about their sum.
    kafka_flush_interval_ms = $flush_ms,
    kafka_poll_timeout_ms = $poll_timeout_ms,
    kafka_max_block_size = $max_block_size
