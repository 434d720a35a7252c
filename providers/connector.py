"""A Kafka Connect connector: validated, registered, watched until its tasks run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import requests
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from providers.base import Props, Provider, ProviderError, own, until

TIMEOUT = 30.0  # seconds for one REST request; a validation connects to the database
STEADY = 4.0  # seconds of running after which it counts as working; a busy worker fails after three
# Debezium's words when the slot begins after the stored position.
NOT_IN_SLOT = "no longer available on the server"
# Connect's words when its configuration topic took no write.
AGAIN = "can be safely retried"
STARTING = 20.0  # seconds in which tasks of a worker that was started again come back by themselves
UNDER_WAY = {"RUNNING", "UNASSIGNED", "RESTARTING"}
SETTLE = 120.0  # seconds until a connector's tasks must run, a rebalance included
STUCK = 60.0  # seconds after which tasks that neither run nor fail are started once more


class ConnectorProvider(Provider):
    """Connectors by Connect's REST API (https://kafka.apache.org/documentation/#connect_rest)."""

    replace_on = ("connector",)

    def create(self, props: Props) -> CreateResult:
        self._apply(props)
        return CreateResult(
            props["connector"], {**own(props), "snapshotted": props["snapshot_tables"]}
        )

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Looks whether the tasks run: one that failed is no difference that any input tells of."""
        return super().diff(_id, {**_olds, "running": _Api(_olds).runs_now()}, _news)

    def read(self, id_: str, props: Props) -> ReadResult:
        api = _Api(props)
        live = api.config()
        if live is None:
            return ReadResult("", own(props))
        return ReadResult(id_, {**own(props), "config": live, "running": api.running()})

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        snapshotted = _olds["snapshotted"]
        if _olds.get("generation") != _news["generation"]:
            # Another slot: what the stored offsets say was never true of it. Without them the
            # connector begins at the slot's start, with its snapshot if it takes one.
            _Api(_news).forget_offsets()
            snapshotted = _news["snapshot_tables"]
        self._apply(_news)
        return UpdateResult({**own(_news), "snapshotted": snapshotted})

    def delete(self, _id: str, _props: Props) -> None:
        api = _Api(_props)
        if api.config() is None:
            return
        # Offsets outlive a connector; left behind, they would make the next one of this name
        # skip its snapshot.
        api.forget_offsets()
        api.send("DELETE", "")
        until(lambda: api.config() is None, SETTLE, f"connector {api.name} going away")

    def _apply(self, props: Props) -> None:
        api = _Api(props)
        api.validate(props["config"])
        # PUT restarts every task even when nothing changed, so look first.
        if api.config() != props["config"]:
            api.send("PUT", "/config", props["config"])
        api.send("PUT", "/resume")
        until(
            api.settled,
            SETTLE,
            f"connector {api.name} running",
            every=0.25,
            instead=lambda: f"{api.seen} (`./cdc logs connect` tells more)",
        )


class Connector(Resource, module="cdc", name="Connector"):
    """A registered connector whose tasks run.

    Args:
        url: Connect's REST address as the operator reaches it.
        config: the connector's configuration, all values as text; passwords as references to a
            config provider (`${directory:…}`), never in plain text.
        generation: the position at which the slot began. Another one means another slot: offsets
            are forgotten and the snapshot is taken again.
        snapshot_tables: what the connector reads by itself when it first starts.

    Attributes:
        snapshotted: what it read by itself when it last started without offsets.
    """

    connector: pulumi.Output[str]
    snapshotted: pulumi.Output[list[str]]

    def __init__(
        self,
        name: str,
        *,
        connector: str,
        url: pulumi.Input[str],
        config: Mapping[str, pulumi.Input[str]],
        generation: pulumi.Input[str],
        snapshot_tables: Sequence[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            ConnectorProvider(),
            name,
            {
                "connector": connector,
                "url": url,
                "config": {**config, "name": connector},
                "generation": generation,
                "snapshot_tables": list(snapshot_tables),
                "snapshotted": None,
                "running": True,
            },
            opts,
        )


class _Api:
    """One connector's part of the REST interface."""

    def __init__(self, props: Mapping[str, Any]) -> None:
        self.name: str = props["connector"]
        self.url: str = props["url"]
        self.seen = "it has no status"
        self._restarted_at = 0.0
        self._begun_again = False
        self._begun = self._since = time.monotonic()

    def send(self, method: str, path: str, body: Any = None) -> requests.Response:
        """Sends a request about the connector; 404 is an answer, any other failure an error."""
        answer = self._ask(method, f"/connectors/{self.name}{path}", body)
        if answer.status_code >= 400 and answer.status_code != 404:
            raise ProviderError(f"connector {self.name}: {_message(answer)}")
        return answer

    def _ask(self, method: str, path: str, body: Any) -> requests.Response:
        """Asks until the worker is up and its group has settled.

        409 is a rebalance. While it starts, the worker answers 503, or 404 without its own JSON;
        while a broker that it writes to is away, 500 and that the request can be made again.
        """

        def attempt() -> requests.Response | None:
            answer = requests.request(method, self.url + path, json=body, timeout=TIMEOUT)
            starting = answer.status_code == 404 and not _is_unknown(answer)
            again = answer.status_code == 500 and AGAIN in answer.text
            return None if answer.status_code in (409, 503) or starting or again else answer

        return until(attempt, SETTLE, f"Kafka Connect at {self.url} answering", every=0.5)

    def config(self) -> dict[str, str] | None:
        answer = self.send("GET", "/config")
        return None if answer.status_code == 404 else dict(answer.json())

    def validate(self, config: Mapping[str, str]) -> None:
        """Raises ProviderError naming each wrong value, before the connector is changed."""
        kind = config["connector.class"]
        answer = self._ask("PUT", f"/connector-plugins/{kind}/config/validate", dict(config))
        if answer.status_code >= 400:
            raise ProviderError(f"connector {self.name}: {_message(answer)}")
        errors = [
            f"{field['value']['name']}: {message}"
            for field in answer.json()["configs"]
            for message in field["value"]["errors"]
        ]
        if errors:
            raise ProviderError(f"connector {self.name}: {'; '.join(errors)}")

    def status(self) -> dict[str, Any] | None:
        answer = self.send("GET", "/status")
        return None if answer.status_code == 404 else dict(answer.json())

    def running(self) -> bool:
        status = self.status()
        return status is not None and _all_run(status)

    def runs_now(self) -> bool:
        """Whether all tasks run. What is just being started is waited for; who is away is not."""
        deadline = time.monotonic() + STARTING
        while True:
            try:
                answer = self._get("/status")
                if answer.status_code == 200:
                    status = answer.json()
                    states = {each["state"] for each in (status["connector"], *status["tasks"])}
                    if _all_run(status) or not states <= UNDER_WAY:
                        return _all_run(status)
                elif _is_unknown(answer) and _is_unknown(self._get("")):
                    return False  # the connector, too, and not its status alone, as at a start
            except requests.ReadTimeout:
                pass  # the worker is in the middle of a rebalance
            except requests.RequestException:
                return False
            if time.monotonic() > deadline:
                return False
            time.sleep(0.5)

    def _get(self, path: str) -> requests.Response:
        return requests.get(f"{self.url}/connectors/{self.name}{path}", timeout=5)

    def settled(self) -> bool:
        """True once all has been running for STEADY seconds: a task says so before it has tried.

        A failed task is restarted once; being failed STEADY seconds later is the answer, for a
        restart is only a request (KIP-745). What neither runs nor has failed for STUCK seconds is
        restarted once, too: nothing in Connect would.
        """
        status = self.status() or {"connector": None, "tasks": []}
        parts = {"connector": status["connector"]} if status["connector"] else {}
        parts |= {f"task {each['id']}": each for each in status["tasks"]}
        told = [f"{name} {each['state']} on {each['worker_id']}" for name, each in parts.items()]
        self.seen = ", ".join(told) or "it has no status"
        now = time.monotonic()
        failed = [each for each in parts.values() if each["state"] == "FAILED"]
        if failed and not self._restarted_at:
            self._restarted_at = now
            self.send("POST", "/restart?includeTasks=true&onlyFailed=true")
        elif failed and now - self._restarted_at > STEADY:
            raise ProviderError(
                f"connector {self.name} failed: {cause(failed[0].get('trace', ''))}"
            )
        if not _all_run(status):
            self._since = now
            if now - self._begun > STUCK and not self._begun_again:
                self._begin_again()
        return now - self._since >= STEADY

    def _begin_again(self) -> None:
        """Restarts the connector and each of its tasks, whatever Connect believes their state is.

        A status that got lost or stale in its topic is written anew by that. The restart that
        includes the tasks would look at the statuses first.
        """
        self._begun_again = True
        self.send("POST", "/restart")
        for task in self.send("GET", "/tasks").json():
            self.send("POST", f"/tasks/{task['id']['task']}/restart")

    def forget_offsets(self) -> None:
        """Stops the connector and deletes its stored positions."""
        if self.config() is None:
            return
        self.send("PUT", "/stop")
        until(self._stopped, SETTLE, f"connector {self.name} stopping", every=0.25)
        self.send("DELETE", "/offsets")

    def _stopped(self) -> bool:
        status = self.status()
        return bool(status and status["connector"]["state"] == "STOPPED" and not status["tasks"])


def _all_run(status: Mapping[str, Any]) -> bool:
    parts = (status["connector"], *status["tasks"])
    return bool(status["tasks"]) and all(part["state"] == "RUNNING" for part in parts)


def _is_unknown(answer: requests.Response) -> bool:
    """Whether a worker says that there is no such thing; one that starts has no JSON to say."""
    return answer.status_code == 404 and _has_message(answer)


def _has_message(answer: requests.Response) -> bool:
    return "json" in answer.headers.get("Content-Type", "")


def _message(answer: requests.Response) -> str:
    told = answer.json().get("message") if _has_message(answer) else answer.text[:200]
    return f"{told} (HTTP {answer.status_code})"


def standstill(url: str) -> str:
    """Why a connector sends nothing any more, '' while nothing speaks against it.

    Args:
        url: its address in Connect's REST API.
    """
    try:
        answer = requests.get(f"{url}/status", timeout=TIMEOUT)
    except requests.RequestException:
        return ""  # a worker that starts again goes on by itself
    if not answer.ok:
        return ""
    parts = (answer.json()["connector"], *answer.json()["tasks"])
    failed = [part for part in parts if part["state"] == "FAILED"]
    return f"the connector failed: {cause(failed[0].get('trace', ''))}" if failed else ""


def cause(trace: str) -> str:
    """A Java trace's heading and its causes: what a person reads; the frames are in the log."""
    if NOT_IN_SLOT in trace:
        return (
            "what it has to read next is no longer in its slot, which was lost or made again: "
            "run `./cdc up`, which loads all tables again"
        )
    lines = [line.strip() for line in trace.splitlines()]
    told = [line for i, line in enumerate(lines) if i == 0 or line.startswith("Caused by:")]
    return " | ".join(told) or "no trace"
