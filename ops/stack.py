"""A deployed stack, as the operator's commands see it: its outputs, read from Pulumi."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import clickhouse_connect
import psycopg
import yaml
from clickhouse_connect.driver.client import Client
from pulumi import automation as auto
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catalog.model import CapturedTable, CaptureOptions
from ops import engine, places
from platforms import Name
from platforms.runtime import Runtime, runtime


class StackError(Exception):
    """One line: what is wrong with the stack, and what to do."""


class WrongUse(StackError):
    """The command named something that isn't there."""


class Postgres(BaseModel):
    """The stack's connection to the captured database. parameters: libpq's own, like sslmode."""

    host: str
    port: int
    user: str
    password: str = Field(repr=False)
    database: str
    parameters: dict[str, str] = {}

    @property
    def dsn(self) -> str:
        return psycopg.conninfo.make_conninfo(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            dbname=self.database,
            **{"connect_timeout": "10", **self.parameters},
        )

    def connect(self, *, autocommit: bool = True) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.dsn, autocommit=autocommit)


class ClickHouse(BaseModel):
    """A user's connection to the HTTP port."""

    host: str
    port: int
    user: str
    password: str = Field(repr=False)

    @contextmanager
    def client(self, *, session: bool = False) -> Iterator[Client]:
        """A client. session: one question at a time, each at half the server's cost."""
        client = clickhouse_connect.get_client(
            host=self.host,
            port=self.port,
            username=self.user,
            password=self.password,
            autogenerate_session_id=session,
        )
        try:
            yield client
        finally:
            client.close()


class Connector(BaseModel):
    """Kafka Connect's REST address, that of each worker, and the connector's name."""

    url: str
    workers: dict[str, str]
    connector: str

    @property
    def connector_url(self) -> str:
        """The connector's own address in the REST API."""
        return f"{self.url}/connectors/{self.connector}"


class Grafana(BaseModel):
    """Where it is and how to log in."""

    url: str
    user: str
    password: str = Field(repr=False)


class Deployed(BaseModel):
    """Everything a running stack exports.

    brokers, clickhouse_nodes: the address of each, by its service's name. beside: further services,
    if any, to their addresses.
    """

    model_config = ConfigDict(extra="ignore")

    stack: str
    platform: Name = "local"
    home: Path
    postgres: Postgres
    own_postgres: bool = True
    kafka: str
    brokers: dict[str, str]
    connect: Connector
    clickhouse: ClickHouse
    clickhouse_nodes: dict[str, str]
    analyst: ClickHouse
    beside: dict[str, str] = {}
    grafana: Grafana | None = None
    slot: str
    slot_lsn: int
    heartbeat_topic: str
    load_workers: int
    sample: bool
    tables: tuple[CapturedTable, ...]
    options: tuple[CaptureOptions, ...]

    def clickhouse_at(self, node: str) -> ClickHouse:
        """The administrator's connection to one of the nodes."""
        host, port = self.clickhouse_nodes[node].rsplit(":", 1)
        return self.clickhouse.model_copy(update={"host": host, "port": int(port)})

    @property
    def runtime(self) -> Runtime:
        """Its services as they run now."""
        return runtime(self.platform, self.stack, self.home)

    @classmethod
    def read(cls, stack: str) -> Deployed:
        """Reads the stack's outputs.

        Raises StackError when it was never brought up.
        """
        must_be_known(stack)
        outputs = workspace().stack_outputs(stack) if stack in stacks() else {}
        if "tables" not in outputs:
            raise StackError(f"stack {stack} is not up: run `./cdc up --stack {stack}`")
        try:
            return cls.of(stack, {name: output.value for name, output in outputs.items()})
        except (KeyError, ValidationError) as error:
            raise StackError(
                f"stack {stack} was brought up by another version: run `./cdc up --stack {stack}`"
            ) from error

    @classmethod
    def of(cls, stack: str, outputs: Mapping[str, Any]) -> Deployed:
        """From the outputs as `pulumi stack output --json --show-secrets` prints them."""
        tables = [CapturedTable.model_validate_json(each) for each in outputs["tables"]]
        options = [CaptureOptions.model_validate_json(each) for each in outputs["options"]]
        return cls.model_validate({**outputs, "stack": stack, "tables": tables, "options": options})

    def chosen(self, names: list[str]) -> tuple[CapturedTable, ...]:
        """The captured tables of these names (`schema.table`), all without any.

        Raises StackError naming what isn't captured.
        """
        known = {table.source.qualified: table for table in self.tables}
        if missing := [name for name in names if name not in known]:
            raise WrongUse(
                f"not captured: {', '.join(missing)}; this stack captures {', '.join(known)}"
            )
        return tuple(known[name] for name in names) if names else self.tables


def workspace() -> auto.LocalWorkspace:
    """Pulumi's automation interface on this checkout, with the environment it needs."""
    activate()
    return auto.LocalWorkspace(work_dir=str(places.project()))


def activate() -> None:
    """Puts the engine on this process's own PATH: the automation interface looks for it there."""
    os.environ.update(engine.environment())


def stacks() -> list[str]:
    """The names of the stacks that exist in this checkout's state."""
    folder = engine.state() / ".pulumi" / "stacks" / "cdc"
    return sorted(path.stem for path in folder.glob("*.json"))


def must_be_known(stack: str) -> None:
    """Raises StackError where no file configures the stack: a mistyped name makes no new one."""
    folder = places.project()
    if not (folder / f"Pulumi.{stack}.yaml").exists():
        known = ", ".join(sorted(p.suffixes[0][1:] for p in folder.glob("Pulumi.*.yaml")))
        raise WrongUse(
            f"no Pulumi.{stack}.yaml: there are {known}; copy one of them to make another stack"
        )


def declared_platform(stack: str) -> Name:
    """Where the stack runs by what its file says."""
    told = yaml.safe_load((places.project() / f"Pulumi.{stack}.yaml").read_text()) or {}
    platform: Name = (told.get("config") or {}).get("cdc:platform", "local")
    return platform


def declared_runtime(stack: str) -> Runtime:
    """The stack's services by what its file says, whether or not it was ever up."""
    return runtime(declared_platform(stack), stack, places.home(stack))
