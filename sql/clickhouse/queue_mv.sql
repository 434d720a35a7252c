        SELECT
            if(_error = '', message, _raw_message) AS _message,
            _topic,
            _partition,
            _offset,
            toUInt8(0) AS _replayed
        FROM $queue
