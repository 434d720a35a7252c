"""The load of a captured table's existing rows, as a resource: it exists once they are there."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import pulumi
from confluent_kafka import KafkaException
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from catalog.model import CapturedTable, CaptureOptions
from ops.backfill.errors import BackfillError
from ops.backfill.run import Backfill
from ops.backfill.target import Target
from ops.position import KafkaPosition
from providers.base import Props, Provider, ProviderError, own
from providers.connector import standstill
from providers.heartbeat import BEAT
from providers.postgres import connected

#: Begins a line of progress on standard output, which Pulumi hands on as an event.
LOADING = "loading "
TELL_SECONDS = 2.0

# One table's ranges at a time: the workers are a bound for the source, not for each table.
_COPYING = threading.Lock()


class InitialLoadProvider(Provider):
    """Loads the table once for each stream, that is: again when the slot had to be made anew.

    Whether it was loaded is a row in ClickHouse (`cdc.loads`), not a memory of Pulumi's: a load
    that was killed goes on, and one that was finished is never repeated.
    """

    replace_on = ("table",)

    def create(self, props: Props) -> CreateResult:
        _load(props)
        return CreateResult(props["table"], own(props))

    def read(self, id_: str, props: Props) -> ReadResult:
        return ReadResult(id_, {**own(props), "loaded": _target(props).loaded()})

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        _load(_news)
        return UpdateResult(own(_news))

    def delete(self, _id: str, _props: Props) -> None:
        _target(_props).forget()


class InitialLoad(Resource, module="cdc", name="InitialLoad"):
    """The existing rows of a table, in ClickHouse.

    Args:
        table: `schema.table`.
        captured, options: a `catalog.model.CapturedTable` and `CaptureOptions` as JSON.
        source, clickhouse: administrators' connections.
        kafka: bootstrap address for the operator. heartbeat_topic: of the connector.
        reader: the connector's address in Kafka Connect's REST API.
        stream: the slot's `lsn`; another slot is another stream, and the table is loaded again.
        loads: how often the table has to be loaded beside one stream; one more, and it is again.
        snapshotted: the tables that the connector's own snapshot read; asked only of a table whose
            rows come through the stream.
        workers: ranges of rows copied at the same time.
    """

    def __init__(
        self,
        name: str,
        *,
        table: str,
        captured: pulumi.Input[str],
        options: CaptureOptions,
        source: Mapping[str, pulumi.Input[Any]],
        clickhouse: Mapping[str, pulumi.Input[Any]],
        kafka: pulumi.Input[str],
        heartbeat_topic: str,
        reader: str,
        stream: pulumi.Input[str],
        loads: pulumi.Input[int],
        snapshotted: pulumi.Input[list[str]],
        workers: int,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            InitialLoadProvider(),
            name,
            {
                "table": table,
                "captured": captured,
                "options": options.model_dump_json(),
                "source": dict(source),
                "clickhouse": dict(clickhouse),
                "kafka": kafka,
                "heartbeat_topic": heartbeat_topic,
                "reader": reader,
                "stream": stream,
                "loads": loads,
                "snapshotted": snapshotted,
                "workers": workers,
                "loaded": True,
            },
            opts,
        )


def _target(props: Props) -> Target:
    captured = CapturedTable.model_validate_json(props["captured"])
    # Before the first reason to load again the load is named as `./cdc resync` names its own.
    again = int(props["loads"]) - 1
    stream = f"{props['stream']}, again {again}" if again else props["stream"]
    return Target(props["clickhouse"], captured, stream)


def _load(props: Props) -> None:
    target = _target(props)
    if target.loaded():
        return
    captured = CapturedTable.model_validate_json(props["captured"])
    options = CaptureOptions.model_validate_json(props["options"])
    name = captured.source.qualified
    told = 0.0

    def beat() -> None:
        with connected(props["source"]) as connection:
            connection.execute(BEAT)

    def tell(what: str, done: int, total: int | None) -> None:
        nonlocal told
        if time.monotonic() - told >= TELL_SECONDS:
            told = time.monotonic()
            count = f": {done:,} of about {total:,}" if total else ""
            print(f"{LOADING}{what}{count}", flush=True)

    backfill = Backfill(
        captured,
        options,
        lambda: connected(props["source"]),
        target,
        KafkaPosition(props["kafka"], props["heartbeat_topic"], beat, [captured]),
        standstill=lambda: standstill(props["reader"]),
        workers=int(props["workers"]),
        copying=_COPYING,
        progress=tell,
    )
    try:
        if options.initial_load == "stream" and int(props["loads"]) == 1:
            if name not in props["snapshotted"]:
                raise ProviderError(
                    f"{name}: `initial_load: stream` is possible only for tables that are there "
                    "when the connector first starts: leave it out, and its rows are copied"
                )
            backfill.streamed(int(props["stream"]))
        else:
            backfill.run()
    except BackfillError as error:
        raise ProviderError(str(error)) from error
    except KafkaException as error:
        raise ProviderError(f"{name}: Kafka: {error.args[0].str()}") from error
