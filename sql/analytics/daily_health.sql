-- Daily health: change events, latency and throughput per table, last 24 hours
-- Latency is from the source's commit to the row's being stored. Every captured table is found by
-- its history; FINAL counts a redelivered event once.
SELECT
    source_table,
    sum(minute_events) AS events,
    sum(inserted) AS inserts,
    sum(updated) AS updates,
    sum(deleted) AS deletes,
    round(sum(latency_sum) / events / 1000, 3) AS avg_latency_s,
    round(max(latency_max) / 1000, 3) AS max_latency_s,
    round(events / 86400, 3) AS avg_events_per_s,
    round(max(minute_events) / 60, 1) AS peak_events_per_s,
    max(last_synced_at) AS last_event_stored_at,
    any(letters) AS dead_letters
FROM
(
    SELECT
        concat(_database, '.', replaceRegexpOne(_table, '_history$', '')) AS source_table,
        toStartOfMinute(source_ts_ms) AS minute,
        count() AS minute_events,
        countIf(operation = 'c') AS inserted,
        countIf(operation = 'u') AS updated,
        countIf(operation = 'd') AS deleted,
        sum(dateDiff('millisecond', source_ts_ms, _synced_at)) AS latency_sum,
        max(dateDiff('millisecond', source_ts_ms, _synced_at)) AS latency_max,
        max(_synced_at) AS last_synced_at
    FROM merge(REGEXP('.*'), '_history$') FINAL
    WHERE operation != 'r' AND source_ts_ms > now() - INTERVAL 1 DAY
    GROUP BY source_table, minute
) AS minutes
LEFT JOIN
(
    SELECT source AS letter_table, count() AS letters FROM cdc.dead_letters FINAL GROUP BY source
) AS dead ON dead.letter_table = minutes.source_table
GROUP BY source_table
ORDER BY events DESC
