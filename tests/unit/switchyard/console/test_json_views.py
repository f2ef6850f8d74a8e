"""The console's data as JSON: who may read it, its shape, and what it never holds."""

import json
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from unittest.mock import ANY

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.db import connections
from django.test import Client, RequestFactory, override_settings
from tests.support.published import published

from switchyard.console.json_views import data
from switchyard.routing.errors import ReadOnlyOwnerWriteError, record_violation
from switchyard.routing.monitor import monitor
from switchyard.routing.topology.replication import Replica
from switchyard.telemetry import count
from switchyard.telemetry.metrics import OPERATIONS, QUERIES
from switchyard.telemetry.recent import recorder, violations


@pytest.fixture
def token() -> Iterator[dict[str, str]]:
    """The header of a client that may read the data."""
    with override_settings(SWITCHYARD={**settings.SWITCHYARD, "CONSOLE_TOKENS": ["", "secret"]}):
        yield {"Authorization": "Bearer secret"}


@pytest.fixture
def answer(client: Client, token: dict[str, str]) -> dict[str, Any]:
    """The data."""
    found: dict[str, Any] = client.get("/console/data", headers=token).json()
    return found


def alias(found: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the entry of an alias."""
    entry: dict[str, Any] = next(each for each in found["aliases"] if each["alias"] == name)
    return entry


@pytest.mark.parametrize("path", ["/console/data", "/console/route"])
@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer ", "Bearer s", "Basic secret", "secret"])
def test_access__without_token_and_session(client: Client, token: dict[str, str], path: str, sent: str) -> None:
    """A stranger gets 401, and no data."""
    response = client.get(path, headers={"Authorization": sent})

    assert response.status_code == HTTPStatus.UNAUTHORIZED
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.json().keys() == {"error"}


@pytest.mark.parametrize(
    ("user", "status"),
    [
        ({"is_staff": True, "is_active": True}, HTTPStatus.OK),
        ({"is_staff": True, "is_active": False}, HTTPStatus.FORBIDDEN),
        ({"is_staff": False, "is_active": True}, HTTPStatus.FORBIDDEN),
        (None, HTTPStatus.UNAUTHORIZED),
    ],
)
def test_access__session(user: dict[str, bool] | None, status: HTTPStatus) -> None:
    """A session of a member of staff is enough; another user gets 403."""
    request = RequestFactory().get("/console/data")
    request.user = AnonymousUser() if user is None else get_user_model()(**user)

    assert data(request).status_code == status


def test_access__without_authentication_middleware() -> None:
    """In a project without users a token is the only way."""
    assert data(RequestFactory().get("/console/data")).status_code == HTTPStatus.UNAUTHORIZED


def test_data__shape(answer: dict[str, Any]) -> None:
    """The answer has the agreed keys, and a value for each time in each series."""
    steps = len(answer["times"])

    assert answer["at"] == pytest.approx(time.time(), abs=60)
    assert (answer["interval_seconds"], len(answer["pods"])) == (5, 1)
    assert answer.keys() == {
        *("at", "interval_seconds", "times", "pods", "pods_found", "aliases", "decisions", "statements", "violations"),
        *("references", "across"),
    }
    assert [each["alias"] for each in answer["aliases"]] == list(connections)
    for entry in answer["aliases"]:
        assert entry.keys() == {
            *("alias", "vendor", "role", "replica_of", "apps", "state", "level", "explanation", "problems"),
            *("lag_seconds", "lag_bytes", "age_seconds", "pending_migrations", "connections", "latency_seconds"),
            *("queries_per_second", "errors_per_second", "queries"),
        }
        assert {name: len(values) for name, values in entry["queries_per_second"].items()} == dict.fromkeys(
            OPERATIONS, steps
        )
        assert len(entry["errors_per_second"]) == steps


def test_data__roles(answer: dict[str, Any]) -> None:
    """A replica names its owner, an owner its apps."""
    owner, replica = alias(answer, "default"), alias(answer, "replica")

    assert (owner["role"], owner["replica_of"], "accounts" in owner["apps"]) == ("primary", None, True)
    assert (replica["role"], replica["replica_of"], replica["apps"]) == ("replica", "default", [])


def test_data__counts(client: Client, token: dict[str, str]) -> None:
    """A query that was just counted is in the answer, in its total and as a rate of the next sample."""
    history = recorder.recent().history
    before = client.get("/console/data", headers=token).json()
    history.sample(time.time() - 10)
    count(QUERIES, "analytics", "write", "analytics", amount=10)
    history.sample(time.time())
    after = client.get("/console/data", headers=token).json()

    totals = [alias(each, "analytics")["queries"]["write"] for each in (before, after)]
    assert totals[1] - totals[0] == 10
    assert alias(after, "analytics")["queries_per_second"]["write"][-1] > 0


def test_data__unfit_replica(client: Client, token: dict[str, str]) -> None:
    """The state of a replica that is not read comes with its reason."""
    with published(replicas=[Replica("replica", "lagging")]):
        replica = alias(client.get("/console/data", headers=token).json(), "replica")

    assert (replica["state"], replica["level"]) == ("lagging", "warning")
    assert replica["explanation"].startswith("It is further behind its owner")


def test_data__pending_migration(client: Client, token: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner whose migrations are not applied is no owner in order."""
    monkeypatch.setattr(monitor, "pending_migrations", {"analytics": 1}.get)
    found = client.get("/console/data", headers=token).json()

    assert (alias(found, "analytics")["level"], alias(found, "analytics")["pending_migrations"]) == ("warning", 1)
    assert alias(found, "analytics")["explanation"] == "1 migration is not applied."
    assert alias(found, "replica")["pending_migrations"] is None


def test_data__violation(client: Client, token: dict[str, str]) -> None:
    """A violation is in the list, with its place, and in the explanation of its alias."""
    violations.discard()
    record_violation(ReadOnlyOwnerWriteError(alias="legacy", operation="write", sql="UPDATE customers"))
    found = client.get("/console/data", headers=token).json()

    assert found["violations"][0] == {
        "at": ANY,
        "kind": "read_only_owner_write",
        "alias": "legacy",
        "reason": "A write was refused on 'legacy', which SWITCHYARD['READ_ONLY'] names: UPDATE customers.",
        "place": ANY,
        "count": 1,
        "pods": ["this pod"],
    }
    assert "test_json_views.py" in found["violations"][0]["place"]
    assert alias(found, "legacy")["level"] == "warning"


def test_data__no_secrets(client: Client, token: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No host, user, password or name of a database is in the answer."""
    secrets = {"HOST": "db.internal", "USER": "app_user", "PASSWORD": "hunter2", "NAME": "db_production"}
    for name, value in secrets.items():
        monkeypatch.setitem(connections["analytics"].settings_dict, name, value)
    text = json.dumps(client.get("/console/data", headers=token).json())

    assert [value for value in secrets.values() if value in text] == []


def test_route__answer(client: Client, token: dict[str, str]) -> None:
    """The parameters of the request are the question."""
    response = client.get("/console/route?app=accounts&model=user&unsafe_method=1", headers=token)

    assert response.status_code == HTTPStatus.OK
    assert response.json()["read"]["rule"] == "unsafe_method"
    assert response.json()["write"]["alias"] == "default"


def test_route__wrong_parameters(client: Client, token: dict[str, str]) -> None:
    """The answer is 400 with a message."""
    response = client.get("/console/route?app=accounts&model=nothing", headers=token)

    assert response.status_code == HTTPStatus.BAD_REQUEST
    assert "no model 'nothing'" in response.json()["error"]


@pytest.mark.parametrize("path", ["/console/data", "/console/route?app=accounts&model=user"])
def test_views__method(client: Client, token: dict[str, str], path: str) -> None:
    """Only reading is possible."""
    assert client.post(path, headers=token).status_code == HTTPStatus.METHOD_NOT_ALLOWED
