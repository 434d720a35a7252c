"""A fetched part is whole, is what its lock says, and is not fetched twice."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from jgo.maven import Artifact as MavenArtifact
from jgo.maven import PythonResolver

from ops import parts, parts_maven, places
from ops.parts_maven import Artifact, FetchError
from platforms.images import IMAGES

CONTENT = b"jar" * 1000


def artifact(name: str, content: bytes = CONTENT) -> Artifact:
    return Artifact("g", name, "1", hashlib.sha256(content).hexdigest(), len(content))


class Quiet:
    """A report that remembers the bytes and what was done."""

    def __init__(self) -> None:
        self.bytes: dict[str, int] = {}
        self.finished: list[str] = []

    def start(self, name: str, total_bytes: int | None) -> None:
        assert total_bytes is None or total_bytes > 0
        self.bytes[name] = 0

    def advance(self, name: str, count: int) -> None:
        self.bytes[name] += count

    def note(self, name: str, text: str) -> None:
        assert name
        assert text

    def done(self, name: str, text: str) -> None:
        assert text
        self.finished.append(name)


def fetch(part: parts._Part, report: Quiet) -> None:
    parts._fetch(part, report, threading.Event())


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Maven repository in a folder, an empty cache, no waiting between tries."""
    repository = tmp_path / "repository"
    monkeypatch.setenv("CDC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CDC_FETCH_ATTEMPTS", "2")
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)

    def copy(_resolver: PythonResolver, wanted: MavenArtifact) -> Path:
        source = repository / wanted.filename
        if not source.exists():
            raise RuntimeError("not found in remote repositories")
        target = wanted.context.repo_cache / source.name
        target.write_bytes(source.read_bytes())
        return target

    monkeypatch.setattr(PythonResolver, "download", copy)
    repository.mkdir()
    return repository


def serve(repository: Path, wanted: Artifact, content: bytes = CONTENT) -> Artifact:
    (repository / wanted.file).write_bytes(content)
    return wanted


def test_a_file_that_is_not_what_the_lock_says_is_refused(registry: Path, tmp_path: Path) -> None:
    wanted = serve(registry, artifact("a"), b"tampered")
    store = tmp_path / "store"
    store.mkdir()
    with pytest.raises(FetchError, match=r"checksum is .*, the lock says") as refused:
        parts_maven.download([wanted], store, lambda _count: None)
    assert "\n" not in str(refused.value)
    assert list(store.iterdir()) == []


def test_what_cannot_be_had_says_so_in_one_line(registry: Path, tmp_path: Path) -> None:
    assert registry.is_dir()
    with pytest.raises(FetchError, match=r"g:a:1 could not be fetched: .* run the same command"):
        parts_maven.download([artifact("a")], tmp_path, lambda _count: None)


def test_a_dead_registry_is_an_error_of_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CDC_FETCH_ATTEMPTS", "1")
    monkeypatch.setattr(parts_maven, "repositories", lambda: {"central": "http://127.0.0.1:9"})
    with pytest.raises(FetchError, match="g:a:1 could not be fetched") as refused:
        parts_maven.download([artifact("a")], tmp_path, lambda _count: None)
    assert "\n" not in str(refused.value)


def test_a_killed_fetch_goes_on_where_it_was(registry: Path, tmp_path: Path) -> None:
    first, second = artifact("a"), artifact("b", CONTENT + b"b")
    serve(registry, first)
    with pytest.raises(FetchError):
        parts_maven.download([first, second], tmp_path, lambda _count: None)
    (registry / first.file).unlink()  # could not be fetched again
    serve(registry, second, CONTENT + b"b")
    counted: list[int] = []
    found = parts_maven.download([first, second], tmp_path, counted.append)
    assert {path.read_bytes() for path in found.values()} == {CONTENT, CONTENT + b"b"}
    assert first.size in counted


def one_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *wanted: Artifact) -> parts._Part:
    lock = tmp_path / "jgo.lock.toml"
    lock.write_text(
        "".join(
            f'[[dependencies]]\ngroupId="{a.group}"\nartifactId="{a.name}"\n'
            f'version="{a.version}"\nsha256="{a.sha256}"\nsize={a.size}\n'
            for a in wanted
        )
    )
    monkeypatch.setattr(parts_maven, "lock_file", lambda _name: lock)
    return parts._Part("kafka", parts._jars)


def test_a_part_is_there_only_when_whole(
    registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = serve(registry, artifact("a"))
    part = one_part(monkeypatch, tmp_path, wanted)

    def stopped(_files: object, folder: Path) -> None:
        (folder / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(replace(part, build=stopped), Quiet())
    assert not part.folder.exists()
    half = part.folder.with_name(f"{part.folder.name}.half-killed")  # what kill -9 leaves
    half.mkdir()
    report = Quiet()
    fetch(part, report)
    assert [path.name for path in part.folder.iterdir()] == [wanted.file]
    assert list(part.folder.parent.iterdir()) == [part.folder]
    assert report.finished == ["kafka"]


def test_a_present_part_is_not_fetched_again(
    registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = serve(registry, artifact("a"))
    part = one_part(monkeypatch, tmp_path, wanted)
    fetch(part, Quiet())
    (registry / wanted.file).unlink()
    report = Quiet()
    fetch(part, report)
    assert report.bytes == {}


def test_a_stopped_fetch_ends_and_leaves_no_part(
    registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = serve(registry, artifact("a"))
    part = one_part(monkeypatch, tmp_path, wanted)
    fetched = places.ensure(places.cache() / "downloads" / "kafka") / wanted.sha256
    fetched.write_bytes(CONTENT)
    stop = threading.Event()
    stop.set()
    with pytest.raises(parts._Stopped):
        parts._fetch(part, Quiet(), stop)
    assert not part.folder.exists()
    assert fetched.exists()


def test_a_changed_lock_is_another_part(
    registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert registry.is_dir()
    before = one_part(monkeypatch, tmp_path, artifact("a")).folder
    assert one_part(monkeypatch, tmp_path, artifact("b")).folder != before


def test_two_fetches_at_once_fetch_once(
    registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = one_part(monkeypatch, tmp_path, serve(registry, artifact("a")))
    reports = [Quiet(), Quiet()]
    threads = [threading.Thread(target=fetch, args=(part, r)) for r in reports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(len(report.finished) for report in reports) == 1


def test_nothing_fetched_is_said_with_the_command_that_fetches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDC_CACHE", str(tmp_path))
    with pytest.raises(parts.MissingPart, match=r"kafka, debezium, postgres.*cdc doctor --fix"):
        parts.locate()


def test_every_artifact_of_the_locks_has_a_checksum_and_comes_once() -> None:
    locks = {part.name: parts_maven.read_lock(part.lock) for part in parts.PARTS}
    kafka, debezium = locks["kafka"], locks["debezium"]
    for lock in locks.values():
        assert all(len(a.sha256) == 64 and a.size > 0 for a in lock)
        assert len({(a.group, a.name) for a in lock}) == len(lock)
    assert not {(a.group, a.name) for a in kafka} & {(a.group, a.name) for a in debezium}


def test_one_version_of_kafka_throughout_and_the_image_is_of_it() -> None:
    kafka = parts_maven.read_lock(parts_maven.lock_file("kafka"))
    assert {a.version for a in kafka if a.group == "org.apache.kafka"} == {
        IMAGES["kafka"].reference.partition(":")[2]
    }


@pytest.mark.parametrize(
    ("covers", "used"),
    [("central", True), ("*", True), ("external:*,!central", False), ("other", False)],
)
def test_mavens_mirror_takes_the_place_of_central(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, covers: str, used: bool
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("JGO_CONFIG_FILE", str(tmp_path / "none"))
    (tmp_path / ".m2").mkdir()
    (tmp_path / ".m2" / "settings.xml").write_text(
        '<settings xmlns="http://maven.apache.org/SETTINGS/1.2.0"><mirrors><mirror><id>m</id>'
        f"<mirrorOf>{covers}</mirrorOf><url>http://mirror.test/maven/</url>"
        "</mirror></mirrors></settings>"
    )
    found = parts_maven.repositories()["central"]
    assert (found == "http://mirror.test/maven") is used
