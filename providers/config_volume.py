"""A Docker volume with a container's configuration files in it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any

import pulumi
from docker.errors import APIError, NotFound
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource

from platforms.containers import EngineError, engine
from providers.base import Props, Provider, ProviderError, own

# Docker's own provider could upload files, but into the container's root only, which is read-only
# here (https://github.com/moby/moby/blob/v28.0.0/daemon/archive_unix.go: ErrRootFSReadOnly).


class ConfigVolumeProvider(Provider):
    """Makes a volume named after what is in it; other files make another volume.

    So a container that mounts it read-only is replaced when a file changes, and the one before has
    its own until it is gone. Files belong to the container's account and to nobody else.
    """

    def create(self, props: Props) -> CreateResult:
        name = _name(props)
        try:
            with engine() as client:
                client.volumes.create(name, labels=props["labels"])
                carrier = client.containers.create(
                    props["image"], volumes={name: {"bind": "/config", "mode": "rw"}}
                )
                try:
                    carrier.put_archive("/config", _archive(props))
                finally:
                    carrier.remove(v=True)
        except (EngineError, APIError) as error:
            raise ProviderError(f"volume {name}: {error}") from error
        return CreateResult(name, {**own(props), "made": name})

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        changed = self.changed(_olds, _news)
        # Only the image that lent its container was another one: what is in it stays.
        content = [name for name in changed if name not in ("image", "made")]
        return DiffResult(changes=bool(content), replaces=content, delete_before_replace=False)

    def read(self, id_: str, props: Props) -> ReadResult:
        with engine() as client:
            try:
                client.volumes.get(id_)
            except NotFound:
                return ReadResult("", own(props))
        return ReadResult(id_, own(props))

    def delete(self, _id: str, _props: Props) -> None:
        # It holds credentials: it goes with the stack.
        with engine() as client:
            try:
                client.volumes.get(_id).remove()
            except NotFound:
                return


class ConfigVolume(Resource, module="cdc", name="ConfigVolume"):
    """A volume of files.

    Args:
        volume: what its name begins with.
        image: of the container through which it is filled; that container never starts.
        owner: numeric `uid:gid` of the files.
        files: name to text; a name may begin with a folder. binaries: name to base64.

    Attributes:
        made: the volume's name.
    """

    made: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        volume: str,
        labels: Mapping[str, str],
        image: pulumi.Input[str],
        owner: str,
        files: Mapping[str, pulumi.Input[str]],
        binaries: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            ConfigVolumeProvider(),
            name,
            {
                "volume": volume,
                "labels": dict(labels),
                "image": image,
                "owner": owner,
                # All of them, for one of them is secret and Pulumi marks what it knows.
                "files": pulumi.Output.secret(dict(files)),
                "binaries": dict(binaries),
                "made": None,
            },
            opts,
        )


def _name(props: Mapping[str, Any]) -> str:
    content = [props["files"], props["binaries"], props["owner"]]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return f"{props['volume']}-{digest[:12]}"


def _archive(props: Mapping[str, Any]) -> bytes:
    uid, gid = map(int, props["owner"].split(":"))
    content = {name: text.encode() for name, text in props["files"].items()}
    content |= {name: base64.b64decode(data) for name, data in props["binaries"].items()}
    buffer = io.BytesIO()
    folders = {folder for name in content if (folder := name.rpartition("/")[0])}
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in sorted(folders):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o500, uid, gid
            archive.addfile(entry)
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.uid, entry.gid = len(data), 0o400, uid, gid
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
