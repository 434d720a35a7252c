"""The stack's configuration, read and checked once, before anything is declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pulumi
from pulumi.runtime.config import is_config_secret
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from catalog.model import CaptureOptions, CatalogError, refuse_clashes
from catalog.objects import SUFFIXES
from catalog.selection import Entry, named, parse_selection
from components.clickhouse_nodes import http_ports
from components.connect import rest_ports
from components.kafka import broker_ports
from components.source_url import SourceUrl
from ops.readiness_model import UserIs

# What may run beside the data path
BesideName = Literal[
    "node-exporter",
    "postgres-exporter",
    "kafka-exporter",
    "prometheus",
    "alertmanager",
    "grafana",
    "kafka-ui",
    "clickhouse-keeper",
]
INTERFACES: tuple[BesideName, ...] = ("prometheus", "alertmanager", "grafana", "kafka-ui")


class Ports(BaseModel):
    """TCP ports on the operator's machine; `portOffset` moves all of them together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    postgres: int = 5432
    kafka: int = 9092
    kafka_controller: int = 29093
    connect: int = 8083
    clickhouse: int = 8123
    prometheus: int = 9090
    alertmanager: int = 9093
    grafana: int = 3000
    kafka_ui: int = 9001

    @field_validator("*")
    @classmethod
    def _in_range(cls, port: int) -> int:
        if not 1 <= port <= 65535:
            raise ValueError(f"{port} is not a TCP port (1 to 65535)")
        return port

    def by_setting(self) -> dict[str, int]:
        """Port numbers by the names they have in the stack's configuration."""
        return {f"{_camel(name)}Port": port for name, port in self.model_dump().items()}

    def moved(self, offset: int) -> Ports:
        return Ports(**{name: port + offset for name, port in self.model_dump().items()})


class Settings(BaseModel):
    """What a stack may set. Every value is described in Pulumi.yaml and docs/configuration.md."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    platform: Literal["local", "docker"] = "local"
    sample: bool = False
    source: SourceUrl | None = None
    source_user: UserIs = "administrator"
    database: str = Field(default="inventory", min_length=1, max_length=63)
    publication: str = Field(default="debezium_pub", pattern=r"^[a-z_][a-z0-9_]{0,62}$")
    slot: str = Field(pattern=r"^[a-z0-9_]{1,63}$")
    topic_prefix: str = Field(default="postgres-server", pattern=r"^[A-Za-z0-9._-]{1,100}$")
    connector: str = Field(default="inventory-connector", pattern=r"^[A-Za-z0-9._-]{1,100}$")
    partitions: int = Field(default=1, ge=1, le=1000)
    poll_interval_ms: int = Field(default=20, ge=1, le=10_000)
    flush_interval_ms: int = Field(default=100, ge=10, le=60_000)
    load_workers: int = Field(default=2, ge=1, le=64)
    brokers: int = 1
    connect_workers: int = Field(default=1, ge=1, le=8)
    clickhouse_nodes: int = 1
    allow_destructive: bool = False
    services: frozenset[BesideName] = frozenset()
    ports: Ports = Ports()
    tables: tuple[Entry, ...]

    @property
    def role(self) -> str:
        """The connector's login; names in Postgres end at 63 bytes."""
        return f"{self.slot[:56]}_reader"

    @property
    def monitor(self) -> str:
        """The login of what watches the source."""
        return f"{self.slot[:55]}_monitor"

    @field_validator("brokers")
    @classmethod
    def _a_quorum(cls, brokers: int) -> int:
        if brokers not in (1, 3):
            raise ValueError("1 or 3: of two, both would have to be up for one to be in charge")
        return brokers

    @field_validator("clickhouse_nodes")
    @classmethod
    def _shards_of_replicas(cls, nodes: int) -> int:
        if nodes not in (1, 4):
            raise ValueError("1, or 4: two shards of two replicas each")
        return nodes

    def named_tables(self) -> tuple[CaptureOptions, ...]:
        """The tables of a stack with a Postgres of its own; pulumi.RunError for a pattern."""
        try:
            return named(self.tables)
        except CatalogError as error:
            raise pulumi.RunError(f"cdc:tables: {error}") from error

    def refuse_clashes(self, tables: Sequence[CaptureOptions]) -> None:
        """Raises pulumi.RunError where two of the tables would share a topic or an object."""
        try:
            refuse_clashes(tables, self.topic_prefix, SUFFIXES)
        except CatalogError as error:
            raise pulumi.RunError(f"cdc:tables: {error}") from error

    def ports_used(self) -> dict[str, int]:
        """Port numbers by setting, of the services that the stack runs."""
        used = self.ports.by_setting()
        several = {
            "kafkaPort for broker": broker_ports(self.ports.kafka, self.brokers),
            "connectPort for worker": rest_ports(self.ports.connect, self.connect_workers),
            "clickhousePort for node": http_ports(self.ports.clickhouse, self.clickhouse_nodes),
        }
        for what, ports in several.items():
            used |= {f"{what} {number}": port for number, port in enumerate(ports[1:], 2)}
        if self.source is not None:
            del used["postgresPort"]
        for service in INTERFACES:
            if service not in self.services:
                del used[f"{_camel(service.replace('-', '_'))}Port"]
        return used

    def refuse_contradictions(self) -> None:
        """Raises pulumi.RunError where one setting makes another one void."""
        if self.services and self.platform == "local":
            raise pulumi.RunError(
                "cdc:services are containers, which cdc:platform local doesn't run: take "
                f"{', '.join(sorted(self.services))} out, or set cdc:platform to docker"
            )
        if "alertmanager" in self.services and "prometheus" not in self.services:
            raise pulumi.RunError(
                "cdc:services: alertmanager is told by prometheus: name both, or neither"
            )
        if self.source is not None and "postgres-exporter" in self.services:
            raise pulumi.RunError(
                "cdc:services: postgres-exporter watches a Postgres of the stack's own, and "
                "cdc:source is somebody else's: take it out"
            )
        self._refuse_sizes()
        if self.source is None:
            if self.source_user != "administrator":
                raise pulumi.RunError("cdc:sourceUser goes with cdc:source, which is not set")
            return
        if self.platform == "docker" and self.source.is_loopback:
            raise pulumi.RunError(
                f"cdc:source names {self.source.host}, which in a container is the container "
                "itself: write an address of that server that other machines could use"
            )
        if self.sample:
            raise pulumi.RunError(
                "cdc:sample is for a Postgres of the stack's own: nothing is made in cdc:source's"
            )
        if self.database not in (self.source.database, Settings.model_fields["database"].default):
            raise pulumi.RunError(
                f"cdc:database is {self.database} and cdc:source names {self.source.database}: "
                "take cdc:database out"
            )

    def _refuse_sizes(self) -> None:
        if (
            self.platform == "local"
            and max(self.brokers, self.connect_workers, self.clickhouse_nodes) > 1
        ):
            raise pulumi.RunError(
                "cdc:brokers, cdc:connectWorkers and cdc:clickhouseNodes above 1 need cdc:platform "
                "docker: what runs as this machine's own processes goes down with it, however many "
                "they are"
            )
        if self.clickhouse_nodes > 1 and "clickhouse-keeper" in self.services:
            raise pulumi.RunError(
                "cdc:services: three Keepers come with cdc:clickhouseNodes 4: take "
                "clickhouse-keeper out"
            )
        whose: dict[int, str] = {}
        for setting, port in self.ports_used().items():
            if port in whose or port > 65535:
                other = f"cdc:{whose[port]}'s" if port in whose else "no TCP port"
                raise pulumi.RunError(f"cdc:{setting}: {port} is {other}: choose another")
            whose[port] = setting

    @classmethod
    def read(cls, config: pulumi.Config, stack: str) -> Settings:
        """Reads the `cdc:` configuration of the current stack.

        Raises pulumi.RunError with one line for each wrong value, before anything is declared.
        """
        ports = {
            field: value
            for field in Ports.model_fields
            if (value := config.get_int(f"{_camel(field)}Port")) is not None
        }
        try:
            settings = cls.model_validate(
                {
                    **_given(config),
                    "slot": config.get("slot") or f"cdc_{stack}".lower().replace("-", "_"),
                    "ports": Ports(**ports).moved(config.get_int("portOffset") or 0),
                    "source": _source(config),
                    "services": config.get_object("services") or [],
                    "tables": parse_selection(config.get_object("tables")),
                }
            )
            settings.refuse_contradictions()
            return settings
        except ValidationError as error:
            raise pulumi.RunError(_sentences(error)) from error
        except CatalogError as error:
            raise pulumi.RunError(f"cdc:tables: {error}") from error


def _given(config: pulumi.Config) -> Mapping[str, Any]:
    """The plain values that the stack sets; what it leaves out keeps the model's default."""
    readers: dict[Any, Any] = {int: config.get_int, bool: config.get_bool}
    values: dict[str, Any] = {}
    for field, info in Settings.model_fields.items():
        if field not in ("slot", "ports", "services", "source", "tables"):
            value = readers.get(info.annotation, config.get)(_camel(field))
            if value is not None:
                values[field] = value
    return values


def _source(config: pulumi.Config) -> SourceUrl | None:
    given = config.get("source")
    if not given:
        return None
    try:
        source = SourceUrl.parse(given)
    except ValueError as error:
        raise pulumi.RunError(f"cdc:source: {error}") from error
    if source.password and not is_config_secret(config.full_key("source")):
        raise pulumi.RunError(
            "cdc:source holds a password and stands in the stack's file as it is: set it with "
            "`pulumi config set --secret cdc:source …`, and change the password if it was shared"
        )
    return source


def _camel(field: str) -> str:
    head, *tail = field.split("_")
    return head + "".join(word.title() for word in tail)


def _sentences(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        where = ".".join(_camel(str(part)) for part in problem["loc"])
        lines.append(f"cdc:{where}: {problem['msg']} (got {problem['input']!r})")
    return "\n".join(lines)
