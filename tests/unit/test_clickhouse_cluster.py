"""Four ClickHouse servers and three Keepers by configuration: what they are declared with."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pulumi
import pytest

from catalog.cluster import CATCH_UP, clustered
from catalog.model import CaptureOptions, Column, SourceTable, capture
from catalog.names import ch_qualified
from catalog.objects import KafkaSettings, SqlObject, platform_objects, table_objects
from components.clickhouse import ClickHouse, ClickHouseArgs
from ops import parity
from platforms.docker import DockerPlatform
from providers.clickhouse import ObjectsProvider, as_inputs
from tests.unit.deployment import Registered, deploy, only

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

CONTAINER = "docker:index/container:Container"
SERVERS = tuple(f"clickhouse-{number}" for number in (1, 2, 3, 4))
KEEPERS = tuple(f"clickhouse-keeper-{number}" for number in (1, 2, 3))


@pytest.fixture(autouse=True)
def _parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.parts.locate", lambda: tmp_path)


@pytest.fixture
def made() -> list[Registered]:
    def program() -> None:
        platform = DockerPlatform("dev")
        ClickHouse("clickhouse", ClickHouseArgs(18123, queues=1, nodes=4), platform)

    return deploy(program)


def _containers(made: list[Registered]) -> dict[str, Registered]:
    return {each.inputs["hostname"]: each for each in made if each.type == CONTAINER}


def _file(made: list[Registered], service: str, file: str) -> ET.Element:
    config = only(made, "cdc:ConfigVolume", f"{service}-config")
    assert "files" in config.secrets
    return ET.fromstring(config.inputs["files"][file])  # noqa: S314 - our own file


def test_every_server_knows_its_own_place_and_the_same_two_shards(made: list[Registered]) -> None:
    assert set(_containers(made)) == {*SERVERS, *KEEPERS}
    places = {}
    for service in SERVERS:
        told = _file(made, service, "config.d/cluster.xml")
        assert told.findtext("interserver_http_host") == service
        places[service] = (told.findtext("macros/shard"), told.findtext("macros/replica"))
        shards = [
            [replica.findtext("host") for replica in shard.findall("replica")]
            for shard in told.findall("remote_servers/cdc/shard")
        ]
        assert shards == [["clickhouse-1", "clickhouse-2"], ["clickhouse-3", "clickhouse-4"]]
        assert [node.findtext("host") for node in told.findall("zookeeper/node")] == list(KEEPERS)
        assert told.findtext("remote_servers/cdc/secret") == "generated-clickhouse-cluster-secret"
        assert _file(made, service, "users.d/cluster.xml").find("profiles/cluster") is not None
    assert list(places.values()) == [("1", "1"), ("1", "2"), ("2", "1"), ("2", "2")]


def test_the_keepers_are_one_quorum_and_there_before_the_servers(made: list[Registered]) -> None:
    for number, service in enumerate(KEEPERS, 1):
        told = _file(made, service, "keeper.xml")
        assert told.findtext("keeper_server/server_id") == str(number)
        members = told.findall("keeper_server/raft_configuration/server")
        assert [member.findtext("hostname") for member in members] == list(KEEPERS)
        assert _containers(made)[service].inputs.get("ports") == []
    ready = {f"{service}-ready" for service in KEEPERS}
    for service in SERVERS:
        assert ready <= _containers(made)[service].depends_on


def test_each_server_is_published_on_a_port_of_its_own_and_on_loopback(
    made: list[Registered],
) -> None:
    for service, port in zip(SERVERS, (18123, 18124, 18125, 18126), strict=True):
        [published] = _containers(made)[service].inputs["ports"]
        assert (published["ip"], published["external"]) == ("127.0.0.1", port)
        assert _file(made, service, "config.xml").findtext("http_port") == str(port)


def test_tables_with_rows_are_everywhere_before_anything_writes_to_them(
    made: list[Registered],
) -> None:
    names = [f"clickhouse-objects{stage}-{n}" for stage in ("-rows", "") for n in (1, 2, 3, 4)]
    objects = [only(made, "cdc:ClickHouseObjects", name) for name in names]
    ports = [each.inputs["connection"]["port"] for each in objects]
    assert ports == 2 * [18123, 18124, 18125, 18126]
    assert {f"{service}-ready" for service in SERVERS} <= objects[0].depends_on
    for before, each in pairwise(objects):
        assert before.name in each.depends_on
    assert all(each["kind"] in ("database", "table") for each in objects[0].inputs["objects"])


def test_an_addition_is_replayed_once_and_when_every_server_has_it() -> None:
    def program() -> None:
        platform = DockerPlatform("dev")
        clickhouse = ClickHouse("clickhouse", ClickHouseArgs(18123, queues=1, nodes=4), platform)
        clickhouse.declare(
            "t",
            objects=clickhouse.shaped(_captured(("id",))),
            afterwards=["the replay"],
            opts=pulumi.ResourceOptions(parent=clickhouse),
        )

    made = {each.name: each for each in deploy(program) if each.type == "cdc:ClickHouseObjects"}
    replays = [name for name, each in made.items() if each.inputs["afterwards"]]
    assert replays == ["t-4"]
    rows = {each["name"] for each in made["t-rows-3"].inputs["objects"]}
    assert rows == {"shop", "shop.orders_history_local", "shop.orders_final_local"}
    others = {each["name"] for each in made["t-3"].inputs["objects"]}
    assert {"shop", "shop.orders_final", "shop.orders_queue", "shop.orders"} <= others
    assert not others & (rows - {"shop"})


def _captured(
    key: tuple[str, ...], name: str = "orders", number: str = "bigint"
) -> list[SqlObject]:
    columns = (
        Column(name="id", pg_type=number, nullable=False),
        Column(name="kind", pg_type="text", nullable=False),
    )
    options = CaptureOptions(table=f"shop.{name}")
    source = SourceTable(schema_="shop", name=name, columns=columns, key=key)
    return table_objects(capture(source, options, "p"), options, KafkaSettings("k:1"), 1)


def test_every_name_of_one_server_is_there_on_a_cluster_and_only_rows_move_away() -> None:
    single = _captured(("kind", "id"))
    spread = {each.name: each for each in clustered(single)}
    assert spread.keys() - {each.name for each in single} == {
        "shop.orders_history_local",
        "shop.orders_final_local",
    }
    moved = {each.name for each in single if spread[each.name] != each}
    assert moved == {"shop.orders_history", "shop.orders_final"}
    for name in moved:
        assert spread[name].kind == "distributed"
        assert f"'{name.split('.')[1]}_local', cityHash64(`kind`, `id`))" in spread[name].body
        assert "Replicated" in spread[f"{name}_local"].body
        assert ch_qualified(f"{name}_local") in spread[f"{name}_local"].create


def test_a_table_exists_before_what_stands_for_it_and_both_before_what_writes_to_it() -> None:
    order = [each.name for each in clustered(_captured(("id",)))]
    for name in ("shop.orders_history", "shop.orders_final"):
        assert order.index(f"{name}_local") < order.index(name) < order.index(f"{name}_mv")


def test_a_change_without_a_key_lies_where_its_message_says() -> None:
    spread = {each.name: each for each in clustered(_captured(()))}
    assert "cityHash64(`_partition`, `_offset`)" in spread["shop.orders_final"].body


def test_what_belongs_to_no_key_is_whole_on_every_server() -> None:
    for each in clustered(platform_objects())[1:]:
        assert f"('/clickhouse/tables/everywhere/{each.name}', '{{shard}}-{{replica}}'" in each.body


def test_a_name_with_a_slash_is_one_step_of_the_path_in_keeper() -> None:
    spread = {each.name: each for each in clustered(_captured(("id",), "a/{b}"))}
    assert "'/clickhouse/tables/{shard}/shop.a%2F%7Bb%7D_final_local'" in (
        spread["shop.a/{b}_final_local"].body
    )


@pytest.mark.parametrize("allowed", [False, True])
def test_replicas_are_never_made_anew_or_narrowed_one_by_one(allowed: bool) -> None:
    def told(old: list[SqlObject], new: list[SqlObject]) -> list[str]:
        wanted = {"objects": as_inputs(clustered(new)), "allow_destructive": allowed}
        return ObjectsProvider().faults({"objects": as_inputs(clustered(old))}, wanted)

    [history, final] = told(_captured(("id",)), _captured(("kind",)))
    assert "shop.orders_final_local: another engine, key" in final
    assert "give the table another `target`" in final and "allowDestructive" not in final
    assert "shop.orders_history_local" in history
    narrowed = told(_captured(("kind",)), _captured(("kind",), number="integer"))
    assert ["column id would be changed from Int64 to Int32" in each for each in narrowed] == [
        True,
        True,
    ]
    assert told(_captured(("kind",), number="integer"), _captured(("kind",))) == []


def test_one_server_has_no_keeper_and_nothing_of_a_cluster() -> None:
    def program() -> None:
        ClickHouse("clickhouse", ClickHouseArgs(18123, queues=1), DockerPlatform("dev"))

    made = deploy(program)
    assert set(_containers(made)) == {"clickhouse"}
    files = only(made, "cdc:ConfigVolume", "clickhouse-config").inputs["files"]
    assert set(files) == {"config.xml", "users.xml", "launch.sh", "health.sh"}
    objects = only(made, "cdc:ClickHouseObjects", "clickhouse-objects").inputs["objects"]
    assert not [each for each in objects if "Replicated" in each["create"]]
    assert only(made, "cdc:Cluster", "clickhouse-cluster").inputs["nodes"] == 1


def test_verify_waits_for_copies_once_the_stream_is_there() -> None:
    said: list[str] = []

    def caught_up(_lsn: int, _deadline: float) -> dict[str, str]:
        said.append("the stream")
        return {"shop.orders": "behind"}

    client = SimpleNamespace(command=said.append)
    assert parity.and_copied(caught_up, cast("Client", client))(1, 2.0) == {"shop.orders": "behind"}
    assert said == ["the stream", *CATCH_UP]
