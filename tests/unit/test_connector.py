"""What the connector's provider makes of Connect's answers."""

from __future__ import annotations

import json

import pytest
import requests

from providers import connector
from providers.base import ProviderError
from providers.connector import ConnectorProvider

PROPS = {"connector": "c", "url": "http://worker"}
TRANSIENT = (
    "Failed to write to config topic; this may be due to a transient error and the request can be "
    "safely retried"
)


def _answer(status: int, body: object) -> requests.Response:
    answer = requests.Response()
    answer.status_code = status
    answer.headers["Content-Type"] = "application/json"
    answer._content = json.dumps(body).encode()
    return answer


def _answering(patch: pytest.MonkeyPatch, answers: list[requests.Response]) -> None:
    patch.setattr(requests, "request", lambda *_, **__: answers.pop(0))
    patch.setattr("providers.base.time.sleep", lambda _: None)


def test_what_connect_says_can_be_retried_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [_answer(500, {"message": TRANSIENT}), _answer(409, {}), _answer(204, {})]
    _answering(monkeypatch, answers)
    connector._Api(PROPS).send("PUT", "/stop")
    assert answers == []


def test_any_other_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    _answering(monkeypatch, [_answer(500, {"message": "no such thing"})])
    with pytest.raises(ProviderError, match=r"connector c: no such thing \(HTTP 500\)"):
        ConnectorProvider().read("c", PROPS)
