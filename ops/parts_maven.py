"""Maven artifacts by committed lock: `tools/PART/jgo.toml` says what, `jgo.lock.toml` which bits.

jgo finds and downloads; it takes a lock but only warns of a wrong checksum, so this checks. It and
requests take most of a second to import, so only what fetches imports them: commands that merely
locate the parts start without.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import places

if TYPE_CHECKING:
    from jgo.maven import MavenContext

TIMEOUT = 30  # seconds without an answer or a byte
PARALLEL = 8


class FetchError(Exception):
    """One line: what could not be fetched, why, and what to do."""


@dataclass(frozen=True)
class Artifact:
    """One file of a lock. `size` is in bytes, `sha256` in hex."""

    group: str
    name: str
    version: str
    sha256: str
    size: int

    @property
    def file(self) -> str:
        """The jar's file name."""
        return f"{self.name}-{self.version}.jar"

    @property
    def coordinate(self) -> str:
        """As Maven writes it."""
        return f"{self.group}:{self.name}:{self.version}"


def lock_file(part: str) -> Path:
    """The committed lock of one part."""
    return places.project() / "tools" / part / "jgo.lock.toml"


def read_lock(path: Path) -> list[Artifact]:
    """The artifacts a lock names."""
    with path.open("rb") as file:
        entries = tomllib.load(file)["dependencies"]
    return [
        Artifact(e["groupId"], e["artifactId"], e["version"], e["sha256"], e["size"])
        for e in entries
    ]


def repositories() -> dict[str, str]:
    """Remote repositories (name: address) in the order they are asked.

    A mirror of Central in Maven's ~/.m2/settings.xml or a `central` under [repositories] in jgo's
    configuration file takes Central's place; jgo's further repositories are asked after it.
    Credentials come from ~/.netrc, proxies and certificates from the usual variables.
    """
    from jgo.config import GlobalSettings
    from jgo.maven import MavenContext

    remote = dict(MavenContext().remote_repos)
    remote.update(GlobalSettings.load().repositories)
    settings = Path.home() / ".m2" / "settings.xml"
    if settings.is_file():
        for mirror in ET.parse(settings).iter():  # noqa: S314 - the user's own file
            if mirror.tag.rpartition("}")[2] != "mirror":
                continue
            field = {e.tag.rpartition("}")[2]: (e.text or "").strip() for e in mirror}
            covered = {name.strip() for name in field.get("mirrorOf", "").split(",")}
            if covered & {"*", "external:*", "central"} and "!central" not in covered:
                remote["central"] = field["url"].rstrip("/")
                break
    return remote


def _context(folder: Path, on_bytes: Callable[[int], None]) -> MavenContext:
    from jgo.maven import MavenContext, PythonResolver

    @contextmanager
    def progress(_file: str, _size: int) -> Iterator[Callable[[int], None]]:
        yield on_bytes

    return MavenContext(
        resolver=PythonResolver(progress_callback=progress),
        repo_cache=folder,
        remote_repos=repositories(),
        timeout=TIMEOUT,
    )


def digest(path: Path) -> str:
    """The file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def attempts() -> int:
    """How often a download is tried: $CDC_FETCH_ATTEMPTS, else 4."""
    return max(1, int(os.environ.get("CDC_FETCH_ATTEMPTS", "4")))


def _download(artifact: Artifact, store: Path, on_bytes: Callable[[int], None]) -> Path:
    """Put one artifact into the store under its checksum; what is there is not fetched again."""
    import requests

    target = store / artifact.sha256
    if target.exists():
        on_bytes(artifact.size)
        return target
    reason = ""
    for attempt in range(attempts()):
        if attempt:
            time.sleep(min(2**attempt, 15))
        counted = 0

        def count(bytes_: int) -> None:
            nonlocal counted
            counted += bytes_
            on_bytes(bytes_)

        # jgo writes straight to the final name, so it gets a folder of its own to leave halves in.
        with tempfile.TemporaryDirectory(dir=store, prefix="half-") as half:
            try:
                project = _context(Path(half), count).project(artifact.group, artifact.name)
                path = project.at_version(artifact.version).artifact().resolve()
            except (requests.RequestException, RuntimeError) as error:
                reason = str(error).splitlines()[0]
            else:
                found = digest(path)
                if found == artifact.sha256:
                    path.chmod(0o644)
                    path.replace(target)
                    return target
                reason = f"checksum is {found}, the lock says {artifact.sha256}"
        on_bytes(-counted)
    raise FetchError(
        f"{artifact.coordinate} could not be fetched: {reason}. Check the network or the Maven "
        "mirror and run the same command again: what has arrived is kept."
    )


def download(
    artifacts: list[Artifact], store: Path, on_bytes: Callable[[int], None]
) -> dict[Artifact, Path]:
    """Fetch artifacts, several at a time, into `store`, each named by its checksum.

    `on_bytes` is called from several threads, with a negative count when a try is given up.
    Raises FetchError when one can't be had or has another checksum than its lock.
    """
    with ThreadPoolExecutor(PARALLEL) as pool:
        tasks = [pool.submit(_download, artifact, store, on_bytes) for artifact in artifacts]
        try:
            paths = [task.result() for task in tasks]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return dict(zip(artifacts, paths, strict=True))


def relock(part: str, without: list[Artifact] | None = None) -> list[Artifact]:
    """Resolve `tools/PART/jgo.toml` anew and write its lock; needs the network.

    `without` names what another part already brings, compared by group and name.
    """
    import tomli_w
    from jgo.env import EnvironmentBuilder, EnvironmentSpec

    brought = {(a.group, a.name) for a in without or []}
    with tempfile.TemporaryDirectory() as folder:
        context = _context(Path(folder), lambda _count: None)
        spec = EnvironmentSpec.load(lock_file(part).with_name("jgo.toml"))
        wanted = EnvironmentBuilder(context).spec_to_dependencies(spec)
        direct, transitive = context.resolver.resolve(wanted)
        found = []
        for dependency in direct + transitive:
            if (dependency.groupId, dependency.artifactId) in brought:
                continue
            jar = dependency.artifact.resolve()
            found.append(
                Artifact(
                    dependency.groupId,
                    dependency.artifactId,
                    dependency.version,
                    digest(jar),
                    jar.stat().st_size,
                )
            )
    found.sort(key=lambda a: a.coordinate)
    entries = [
        {
            "groupId": a.group,
            "artifactId": a.name,
            "version": a.version,
            "sha256": a.sha256,
            "size": a.size,
        }
        for a in found
    ]
    lock_file(part).write_bytes(tomli_w.dumps({"dependencies": entries}).encode())
    return found


def relock_all() -> None:
    """Write the locks of all parts anew from their `jgo.toml`."""
    kafka = relock("kafka")
    relock("debezium", without=kafka)
    relock("converter", without=kafka)
    relock("postgres")


if __name__ == "__main__":
    relock_all()
