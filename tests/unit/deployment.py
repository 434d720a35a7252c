"""A program declared against Pulumi's mocks, and all it registered.

Tests look at the finished list, not at outputs inside `apply`: an assertion there that never ran
would pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi.runtime import mocks, rpc

from catalog.model import Column, SourceTable


@dataclass(frozen=True)
class Registered:
    """One resource as it went to the engine. secrets: the inputs marked secret, at any depth.

    replace_on, delete_first, retained: what its options say of replacing and deleting it.
    """

    type: str
    name: str
    parent: str
    inputs: Mapping[str, Any]
    secrets: frozenset[str]
    secret_outputs: frozenset[str]
    depends_on: frozenset[str]
    replace_on: frozenset[str]
    delete_first: bool
    retained: bool


class _Monitor(mocks.MockMonitor):
    def __init__(self, answers: mocks.Mocks) -> None:
        super().__init__(answers)
        self.registered: list[Registered] = []

    def RegisterResource(self, request: Any) -> Any:
        if request.type != "pulumi:pulumi:Stack":
            inputs = rpc.deserialize_properties(request.object)
            self.registered.append(
                Registered(
                    type=request.type.removeprefix("pulumi-python:dynamic/"),
                    name=request.name,
                    parent=request.parent.rsplit("::", 1)[-1],
                    inputs={k: _plain(v) for k, v in inputs.items() if k != "__provider"},
                    secrets=frozenset(_secrets(inputs, "")),
                    secret_outputs=frozenset(request.additionalSecretOutputs),
                    depends_on=frozenset(urn.rsplit("::", 1)[-1] for urn in request.dependencies),
                    replace_on=frozenset(request.replaceOnChanges),
                    delete_first=request.deleteBeforeReplace,
                    retained=request.retainOnDelete,
                )
            )
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]


class _Answers(mocks.Mocks):
    """Outputs that only a real provider can know, of the shape it would give them."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        outputs = {k: v for k, v in args.inputs.items() if k != "__provider"}
        kind = args.typ.rsplit(":", 1)[-1]
        if kind == "Password":
            # The engine marks it so, because the resource names it in additional_secret_outputs.
            outputs["value"] = pulumi.Output.secret(f"generated-{args.name}")
        elif kind == "PostgresSlot":
            outputs["lsn"] = "1000"
        elif kind == "Cluster":
            outputs["cluster"] = f"generated-{args.name}"
        elif kind == "RemoteImage":
            outputs["imageId"] = f"sha256:{args.inputs['name']}"
        elif kind == "ConfigVolume":
            outputs["made"] = args.inputs["volume"]
        elif kind == "SourceTable":
            outputs["described"] = _described(_plain(args.inputs["table"])).model_dump_json()
        return f"{args.name}-id", outputs

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"nothing here calls functions: {args.token}")


def deploy(program: Callable[[], object], stack: str = "test") -> list[Registered]:
    """Runs the program to its end and answers with every resource it registered."""
    monitor = _Monitor(_Answers())
    mocks.set_mocks(_Answers(), project="cdc", stack=stack, preview=False, monitor=monitor)
    mocks.test(lambda: (program(), None)[1])()  # type: ignore[no-untyped-call]
    assert monitor.registered, "the program declared nothing"
    return monitor.registered


def only(resources: list[Registered], type_: str, name: str = "") -> Registered:
    """The one resource of this type (and name)."""
    found = [r for r in resources if r.type == type_ and (not name or r.name == name)]
    assert len(found) == 1, f"{len(found)} resources of type {type_} {name}: {resources}"
    return found[0]


def _described(qualified: str) -> SourceTable:
    schema, name = qualified.split(".")
    return SourceTable(
        schema_=schema,
        name=name,
        key=("id",),
        columns=(
            Column(name="id", pg_type="bigint", nullable=False),
            Column(name="note", pg_type="text", nullable=True),
        ),
    )


def _plain(value: Any) -> Any:
    if rpc.is_rpc_secret(value):
        return _plain(rpc.unwrap_rpc_secret(value))
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value


def _secrets(value: Any, path: str) -> list[str]:
    if rpc.is_rpc_secret(value):
        return [path]
    if isinstance(value, dict):
        return [s for k, v in value.items() for s in _secrets(v, f"{path}.{k}" if path else k)]
    return []


def connection() -> dict[str, pulumi.Input[Any]]:
    """An administrator's connection as the tiers hand it to each other."""
    return {
        "host": "127.0.0.1",
        "port": 5432,
        "user": "postgres",
        "password": pulumi.Output.secret("hidden"),
        "database": "inventory",
    }
