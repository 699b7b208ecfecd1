"""Nobody gets further than health without showing who he is."""

from __future__ import annotations

import pytest
from stand_ins import Caller, request, well

pytestmark = pytest.mark.anyio

PATHS = [
    "/v2",
    "/v2/models/digits",
    "/v2/models/digits/infer",
    "/v2/repository/index",
    "/metrics",
    "/",
    "/nowhere",
]


async def _ask_as(hall, header: bytes, path: str, method: str = "POST"):
    caller: Caller = await hall.caller()
    data = request(path, b"{}" if method == "POST" else b"", method=method)
    caller.send(data.replace(b"authorization: Bearer alpha\r\n", header))
    return await caller.answer()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("header", [b"", b"authorization: Bearer wrong\r\n", b"authorization: Basic x\r\n"])
async def test_every_path_needs_a_token(hall, path, header):
    (replica,) = await hall.serving(well)
    answer = await _ask_as(hall, header, path)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["x-request-id"]
    assert answer.error
    assert replica.seen == []
    assert hall.usage == []


async def test_two_tokens_are_worse_than_one(hall):
    both = b"authorization: Bearer alpha\r\nauthorization: Bearer beta\r\n"
    assert (await _ask_as(hall, both, "/v2", "GET")).status == 400


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready"])
async def test_health_is_for_everybody(hall, path):
    await hall.serving(well)
    assert (await _ask_as(hall, b"", path, "GET")).status == 200


@pytest.mark.parametrize("name", ["digits", "default.digits"])
async def test_a_service_is_reached_with_and_without_its_project(hall, name):
    await hall.serving(well)
    assert (await hall.ask(f"/v2/models/{name}/infer")).status == 200


async def test_a_service_of_another_project_is_as_unknown_as_one_that_is_not_there(hall):
    (replica,) = await hall.serving(well, name="secret", project="other")
    named = await hall.ask("/v2/models/other.secret/infer")
    plain = await hall.ask("/v2/models/secret/infer")
    there_is_none = await hall.ask("/v2/models/other.nothing/infer")
    assert named.status == plain.status == there_is_none.status == 404
    assert named.error.replace("secret", "nothing") == there_is_none.error
    assert replica.seen == []
    beta = await _ask_as(hall, b"authorization: Bearer beta\r\n", "/v2/models/secret/infer")
    assert beta.status == 200


async def test_metrics_name_all_services_and_are_for_those_who_run_the_hall(hall):
    assert (await _ask_as(hall, b"authorization: Bearer beta\r\n", "/metrics", "GET")).status == 403


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/v2/models/none/infer", "POST", 404),
        ("/v2/models/none", "GET", 404),
        ("/v2/models/DIGITS/infer", "POST", 404),
        ("/v2/models/digits/infer/", "POST", 404),
        ("/v2/models/digits/../secret/infer", "POST", 404),
        ("/v2/models//infer", "POST", 404),
        ("/v2/models/digits/versions/ffff/infer", "POST", 404),
        ("/v2/models/digits/infer", "GET", 405),
        ("/v2/models/digits", "DELETE", 405),
        ("/v3/models", "GET", 404),
        ("*", "OPTIONS", 400),
    ],
)
async def test_what_is_not_there_is_said_to_be_not_there(hall, path, method, status):
    await hall.serving(well)
    answer = await hall.ask(path, b"", method=method)
    assert answer.status == status
    assert answer.error


async def test_a_version_can_be_asked_for(hall):
    (replica,) = await hall.serving(well)
    assert (await hall.ask("/v2/models/digits/versions/3f2a/infer")).status == 200
    assert replica.seen[0].line == "POST /v2/models/digits/infer HTTP/1.1"
