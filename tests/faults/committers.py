"""A process of transactional producers that commit without a pause, to be killed with -9.

`python -m tests.faults.committers BOOTSTRAP TOPIC COUNT`: producer N writes to partition N.
Prints a line once each has committed.
"""

from __future__ import annotations

import sys
import threading

from confluent_kafka import Producer


def commit(bootstrap: str, topic: str, number: int, committed: threading.Event) -> None:
    """Write and commit, for ever."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "transactional.id": f"{topic}-{number}",
            "transaction.timeout.ms": 10_000,
        }
    )
    producer.init_transactions(30)
    while True:
        producer.begin_transaction()
        producer.produce(topic, b"{}", partition=number)
        producer.commit_transaction(30)
        committed.set()


def main(bootstrap: str, topic: str, count: int) -> None:
    """Start the producers and wait to be killed."""
    events = [threading.Event() for _ in range(count)]
    for number, event in enumerate(events):
        threading.Thread(target=commit, args=(bootstrap, topic, number, event)).start()
    for event in events:
        event.wait()
    print("all have committed", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
