"""The size of error answers, whatever a client sends: at most 100 problems and 16 KiB."""

import json

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from tests.support.client import api_client

from rest import MAX_PROBLEMS
from switchyard.testing import assert_queries

LIMIT_BYTES = 16 * 1024
UNKNOWN = {f"k{n}": 1 for n in range(20_000)}
EVENT = {"user_id": 1, "kind": "login"}


def events(count, **changed):
    return [{**EVENT, **changed} for _ in range(count)]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("users", UNKNOWN),
        ("users", {"username": "ada", **UNKNOWN}),
        ("users", {"k" * 100_000: 1}),
        ("users", {"\U0001f600" * 500 + str(n): 1 for n in range(80)}),
        ("users", {"\x00~/" * 300 + str(n): 1 for n in range(100)}),
        ("reports", {"date": "2026-01-01", **UNKNOWN}),
        ("events", {**EVENT, **UNKNOWN}),
        ("events", events(1000, user_id="1", kind=7, at=None)),
        ("events", [{**EVENT, **{f"k{n}": 1 for n in range(50)}}] * 1000),
        ("events", [[]] * 1000),
        ("events", [[]] * 100_000),
    ],
)
def test_problems__of_many_wrong_values(path, body):
    """At most 100 problems and 16 KiB, and at least one problem."""
    with assert_queries():
        response = api_client().post(f"/api/{path}", body, content_type="application/json")

    assert response.status_code == 422
    assert len(response.content) <= LIMIT_BYTES
    assert 1 <= len(response.json()["errors"]) <= MAX_PROBLEMS


def test_problems__more_than_shown():
    """The answer says that there are more problems than it shows."""
    response = api_client().post("/api/users", UNKNOWN, content_type="application/json")

    shown = len(response.json()["errors"])
    assert response.json()["detail"] == (
        f"The request has wrong values; see errors. Only the first {shown} of more problems are shown."
    )


def test_problems__fewer_than_the_limit():
    """All problems are shown, those of the known fields too, and nothing says that there are more."""
    body = {"username": "", "email": 7, **{f"k{n}": 1 for n in range(20)}}

    response = api_client().post("/api/users", body, content_type="application/json")

    assert len(response.json()["errors"]) == 22
    assert response.json()["detail"] == "The request has wrong values; see errors."


def test_problems__of_several_items():
    """Each wrong item of a list has its problem, with its own index."""
    body = [EVENT, {**EVENT, "user_id": "1"}, EVENT, {**EVENT, "kind": ""}, {**EVENT, "more": 1}]

    response = api_client().post("/api/events", body, content_type="application/json")

    assert [problem["pointer"] for problem in response.json()["errors"]] == ["#/1/user_id", "#/3/kind", "#/4/more"]


@pytest.mark.parametrize(("count", "words"), [(0, "at least 1 item"), (1001, "at most 1000 items")])
def test_problems__of_a_list_of_wrong_length(count, words):
    """One problem, about the length."""
    response = api_client().post("/api/events", events(count), content_type="application/json")

    (problem,) = response.json()["errors"]
    assert words in problem["detail"]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api/" + "x" * 4000, {}),
        ("/api/" + "%01" * 1300, {}),
        ("/api/" + "%F0%9F%98%80" * 340, {}),
        ("/api/users?" + "&".join(f"p{n}=1" for n in range(2000)), {}),
        ("/api/users?limit=" + "9" * 4000, {}),
        ("/api/users?after=" + "%01" * 1300, {}),
        ("/" + "%01" * 1300, {}),
        ("/admin/" + "%01" * 1300, {}),
        ("/api/users", {"Host": "h" * 8000}),
        ("/api/users", {"Authorization": "Bearer " + "\x01" * 8000}),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_error__of_long_urls_and_headers(path, headers, method):
    """An error shows at most a part of what the client sent."""
    response = api_client().generic(method, path, b"{}", content_type="application/json", headers=headers)

    assert 400 <= response.status_code < 500 or response.status_code == 302
    assert len(response.content) <= LIMIT_BYTES


def test_error__of_a_long_content_type():
    """The answer to another content type shows at most a part of it."""
    response = api_client().generic("POST", "/api/users", b"{}", content_type="\x01" * 8000)

    assert response.status_code == 415
    assert len(response.content) <= LIMIT_BYTES


@pytest.mark.parametrize("path", ["/api/users", "/admin/login/", "/livez/more", "/console/"])
@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data", "text/plain"])
def test_body__larger_than_the_limit(path, content_type):
    """413, before a byte is read, on every path."""
    headers = {"Content-Length": str(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)}

    response = Client().generic("POST", path, b"", content_type=content_type, headers=headers)

    assert response.status_code == 413
    assert "524288 bytes" in response.content.decode()


def test_body__of_the_largest_valid_list():
    """1,000 events fit into the limit, whatever their characters."""
    listed = events(1000, kind="\U0001f600" * 64, at="2026-01-01T00:00:00.000000+00:00", user_id=2**63 - 1)
    body = json.dumps(listed, ensure_ascii=False)

    assert len(body.encode()) < settings.DATA_UPLOAD_MAX_MEMORY_SIZE


def test_body__of_unknown_length():
    """411: Django would read a body without Content-Length as empty."""
    response = api_client().generic("POST", "/api/users", b"", headers={"Transfer-Encoding": "chunked"})

    assert response.status_code == 411
    assert response["Content-Type"] == "application/problem+json"


@pytest.mark.django_db(databases=["default", "replica"])
def test_upload__of_a_file(tmp_path, settings):
    """A form with a file is refused without a file on disk; the service has no field for files."""
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 0
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.cookies["csrftoken"] = "a" * 32  # any client can send one

    response = client.post("/admin/login/", {"file": SimpleUploadedFile("a.txt", b"x" * 200_000)})

    assert response.status_code == 400
    assert list(tmp_path.iterdir()) == []
