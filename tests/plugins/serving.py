"""Pulumi's provider protocol, as far as a stand-in for a published plugin needs it.

https://github.com/pulumi/pulumi/blob/sdk/v3.232.0/proto/pulumi/provider.proto
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent import futures
from typing import Any, Protocol

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

Props = dict[str, Any]
# What the engine puts where a preview doesn't know a value yet.
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


class Kind(Protocol):
    """One resource type. Outputs are what is added to the inputs."""

    knows: frozenset[str]
    in_place: frozenset[str]

    def create(self, props: Props) -> tuple[str, Props]:
        """Makes it; answers with its id and outputs."""
        ...

    def read(self, id_: str, props: Props) -> Props | None:
        """Its outputs, None when it is gone."""
        ...

    def update(self, id_: str, props: Props) -> Props:
        """Changes what is in `in_place`; answers with the outputs."""
        ...

    def delete(self, id_: str, props: Props) -> None: ...


class StandIn(provider_pb2_grpc.ResourceProviderServicer):
    """Serves resource types. A property that a type doesn't know is refused, never ignored."""

    version = ""

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self.kinds = kinds

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self.version)

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse()

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Check(self, request: Any, context: Any) -> Any:
        kind = self._kind(request.urn)
        unknown = set(_read(request.news)) - kind.knows
        failures = [
            provider_pb2.CheckFailure(property=name, reason="the stand-in provider doesn't know it")
            for name in sorted(unknown)
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        kind = self._kind(request.urn)
        olds, news = _read(request.old_inputs), _read(request.news)
        changed = sorted(n for n in olds.keys() | news.keys() if olds.get(n) != news.get(n))
        response = provider_pb2.DiffResponse
        return response(
            changes=response.DIFF_SOME if changed else response.DIFF_NONE,
            diffs=changed,
            replaces=[name for name in changed if name not in kind.in_place],
        )

    def Create(self, request: Any, context: Any) -> Any:
        props = _read(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        id_, outputs = self._kind(request.urn).create(props)
        return provider_pb2.CreateResponse(id=id_, properties=_write({**props, **outputs}))

    def Read(self, request: Any, context: Any) -> Any:
        props = _read(request.properties)
        outputs = self._kind(request.urn).read(request.id, props)
        if outputs is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=request.id, properties=_write({**props, **outputs}), inputs=request.inputs
        )

    def Update(self, request: Any, context: Any) -> Any:
        props = _read(request.news)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=request.news)
        outputs = self._kind(request.urn).update(request.id, props)
        return provider_pb2.UpdateResponse(properties=_write({**props, **outputs}))

    def Delete(self, request: Any, context: Any) -> Any:
        self._kind(request.urn).delete(request.id, _read(request.properties))
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Attach(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def _kind(self, urn: str) -> Kind:
        return self.kinds[urn.split("::")[2].split("$")[-1]]


def _read(props: struct_pb2.Struct) -> Props:
    """A JSON number has no integer: whole ones are made integers again."""
    found: Props = _whole(json_format.MessageToDict(props))
    return found


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _write(props: Props) -> struct_pb2.Struct:
    return json_format.ParseDict(props, struct_pb2.Struct())


def serve(provider: StandIn) -> None:
    """Serves until the engine ends this process; the port is told on standard output."""
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=16),
        options=[("grpc.max_receive_message_length", 400 << 20)],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()
