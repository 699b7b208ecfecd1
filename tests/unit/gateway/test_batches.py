"""Files and batches at the gateway: kept durably by project, answered line by line, once each in the results."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from stand_ins import Answer, Seen, eventually, http, request, well

from modelhall import settings
from modelhall.app.clock import SystemClock
from modelhall.app.shelf import FolderShelf
from modelhall.gateway import batches

CHAT = "/v1/chat/completions"
pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "LINES_A_PART", 3)


@pytest.fixture
def shelf(tmp_path: Path) -> FolderShelf:
    (tmp_path / "cache").mkdir()
    return FolderShelf(settings.load({}, home=tmp_path), SystemClock.now)


@pytest.fixture
async def hall(gateway_with: Callable[..., Any], shelf: FolderShelf) -> AsyncIterator[Any]:
    hall = gateway_with(shelf)
    await hall.start()
    yield hall
    await hall.stop()


def lines(count: int, **body: Any) -> bytes:
    return b"".join(line(f"line-{number}", say=number, **body) for number in range(count))


def line(custom_id: str, *, method: str = "POST", url: str = CHAT, **body: Any) -> bytes:
    asked = {"custom_id": custom_id, "method": method, "url": url, "body": {"model": "digits", **body}}
    return json.dumps(asked).encode() + b"\n"


def form(content: bytes, purpose: bytes = b"batch") -> bytes:
    return (
        b'--x\r\ncontent-disposition: form-data; name="purpose"\r\n\r\n' + purpose + b"\r\n"
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\ncontent-type: text/plain\r\n\r\n'
        + content + b"\r\n--x--\r\n"
    )  # fmt: skip


async def call(
    hall: Any, method: str, path: str, body: bytes = b"", *headers: str, token: bytes = b"alpha"
) -> Answer:
    caller = await hall.caller()
    caller.send(request(path, body, *headers, method=method).replace(b"Bearer alpha", b"Bearer " + token))
    answer = await caller.answer()
    caller.close()
    return answer


async def upload(hall: Any, content: bytes, **more: Any) -> dict[str, Any]:
    answer = await call(
        hall, "POST", "/v1/files", form(content), "content-type: multipart/form-data; boundary=x", **more
    )
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


async def begin(hall: Any, content: bytes, **more: Any) -> str:
    file = await upload(hall, content)
    asked = {"input_file_id": file["id"], "endpoint": CHAT, "completion_window": "24h", **more}
    answer = await call(hall, "POST", "/v1/batches", json.dumps(asked).encode())
    assert answer.status == 200, answer.body
    return json.loads(answer.body)["id"]


async def ended(hall: Any, id: str) -> dict[str, Any]:
    """A batch when it is over."""
    async with asyncio.timeout(20):
        while True:
            batch = json.loads((await call(hall, "GET", f"/v1/batches/{id}")).body)
            if batch["status"] in batches.OVER:
                return batch
            await asyncio.sleep(0.01)


async def rows(hall: Any, file: str) -> list[dict[str, Any]]:
    content = (await call(hall, "GET", f"/v1/files/{file}/content")).body
    return [json.loads(row) for row in content.splitlines()]


async def says(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Answer with what was asked, or refuse what is odd."""
    number = json.loads(seen.body)["say"]
    good = number % 2 == 0
    said = {"said": number} if good else {"error": {"message": "odd"}}
    writer.write(http(json.dumps(said).encode(), status="200 OK" if good else "400 Bad Request"))


async def test_a_file_is_there_as_it_was_put_and_gone_when_it_is_deleted(hall, tmp_path):
    content = bytes(range(256)) * 50 + b"\r\n--y\r\n"
    file = await upload(hall, content)
    assert (file["bytes"], file["filename"], file["purpose"]) == (len(content), "a.jsonl", "batch")
    assert (await call(hall, "GET", f"/v1/files/{file['id']}/content")).body == content
    assert json.loads((await call(hall, "GET", f"/v1/files/{file['id']}")).body) == file
    assert json.loads((await call(hall, "GET", "/v1/files")).body)["data"] == [file]
    assert any((tmp_path / "files" / "blobs").rglob("*.*"))
    assert json.loads((await call(hall, "DELETE", f"/v1/files/{file['id']}")).body)["deleted"] is True
    assert (await call(hall, "GET", f"/v1/files/{file['id']}")).status == 404
    kept = [
        path for path in (tmp_path / "files" / "blobs").rglob("*") if path.is_file() and path.name != ".lock"
    ]
    assert kept == []


async def test_what_is_kept_is_sealed(hall, tmp_path):
    await upload(hall, b"nobody reads this in a stolen disk")
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert kept
    assert not any(b"stolen disk" in one for one in kept)


async def test_one_projects_files_and_batches_are_not_there_for_another(hall):
    await hall.serving(well)
    file, batch = await upload(hall, lines(1)), await begin(hall, lines(1))
    await ended(hall, batch)
    for path in (f"/v1/files/{file['id']}", f"/v1/files/{file['id']}/content", f"/v1/batches/{batch}"):
        assert (await call(hall, "GET", path, token=b"beta")).status == 404
    assert (await call(hall, "DELETE", f"/v1/files/{file['id']}", token=b"beta")).status == 404
    for path in ("/v1/files", "/v1/batches"):
        assert json.loads((await call(hall, "GET", path, token=b"beta")).body)["data"] == []
    asked = {"input_file_id": file["id"], "endpoint": CHAT}
    assert (await call(hall, "POST", "/v1/batches", json.dumps(asked).encode(), token=b"beta")).status == 404


async def test_every_line_is_answered_and_stands_once_in_the_results(hall):
    (replica,) = await hall.serving(says)
    batch = await ended(hall, await begin(hall, lines(10), metadata={"for": "a test"}))
    assert batch["status"] == "completed"
    assert batch["request_counts"] == {"total": 10, "completed": 5, "failed": 5}
    assert batch["metadata"] == {"for": "a test"}
    good, bad = await rows(hall, batch["output_file_id"]), await rows(hall, batch["error_file_id"])
    assert [row["custom_id"] for row in good] == [f"line-{number}" for number in range(0, 10, 2)]
    assert [row["response"]["body"]["said"] for row in good] == [0, 2, 4, 6, 8]
    assert {row["response"]["status_code"] for row in bad} == {400}
    assert len(replica.seen) == 10
    assert {usage.request for usage in hall.usage} == {row["response"]["request_id"] for row in good + bad}


async def test_a_batch_goes_on_where_it_was_when_the_gateway_is_up_again(hall, gateway_with, shelf):
    held = asyncio.Event()

    async def up_to_four(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if len(replica.seen) > 4:
            await held.wait()
        await says(seen, writer)

    (replica,) = await hall.serving(up_to_four, try_timeout_s=60)
    id = await begin(hall, lines(8))
    await eventually(lambda: len(replica.seen) > 4)
    await hall.stop()
    again = gateway_with(shelf)
    await again.start()
    try:
        (other,) = await again.serving(says)
        batch = await ended(again, id)
        told = await rows(again, batch["output_file_id"]) + await rows(again, batch["error_file_id"])
        assert sorted(row["custom_id"] for row in told) == [f"line-{number}" for number in range(8)]
        assert len(other.seen) == 5  # the first part was done
    finally:
        await again.stop()


async def test_a_busy_service_is_asked_again(hall):
    async def busy_at_first(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if len(replica.seen) < 3:
            writer.write(http(b"{}", "retry-after: 0", status="503 Busy"))
        else:
            await says(seen, writer)

    (replica,) = await hall.serving(busy_at_first, retries=0)
    batch = await ended(hall, await begin(hall, lines(1)))
    assert batch["request_counts"] == {"total": 1, "completed": 1, "failed": 0}


async def test_a_batch_that_is_cancelled_keeps_what_was_answered(hall):
    held = asyncio.Event()

    async def held_up(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if len(replica.seen) > 3:
            await held.wait()
        await says(seen, writer)

    (replica,) = await hall.serving(held_up, try_timeout_s=60)
    id = await begin(hall, lines(9))
    await eventually(lambda: len(replica.seen) > 3)
    told = json.loads((await call(hall, "POST", f"/v1/batches/{id}/cancel")).body)
    assert told["status"] == "cancelling"
    held.set()
    batch = await ended(hall, id)
    assert batch["status"] == "cancelled"
    assert sum(batch["request_counts"][sort] for sort in ("completed", "failed")) == 6
    assert (await call(hall, "POST", f"/v1/batches/{id}/cancel")).status == 409


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{\n", "line 1: not JSON"), (b"[]\n", "line 1 has no custom_id"), (b"\xff\n", "line 1: not JSON"),
        (line("a") + line("a"), "twice"), (line("a", method="GET"), "no POST"),
        (line("a", url="/v1/models"), "no POST"),
        (line("a", stream=True), "stream"), (b"\n\n", "1 to"), (line("a" * 300), "custom_id"),
    ],
)  # fmt: skip
async def test_a_file_that_is_no_batch_fails_it_and_says_where(hall, content, why):
    (replica,) = await hall.serving(well)
    batch = await ended(hall, await begin(hall, content))
    assert batch["status"] == "failed"
    assert why in batch["errors"]["data"][0]["message"]
    assert not replica.seen


async def test_a_batch_has_no_more_rights_than_its_project(hall):
    secret = await hall.replica("r9")
    await hall.declare(secret, name="secret", project="other")
    batch = await ended(hall, await begin(hall, line("a", model="other.secret")))
    (bad,) = await rows(hall, batch["error_file_id"])
    assert bad["response"]["status_code"] == 404
    assert not secret.seen


@pytest.mark.parametrize(
    ("asked", "param", "status"),
    [
        ({"endpoint": "/v1/files"}, "endpoint", 400), ({"completion_window": "1h"}, "completion_window", 400),
        ({"input_file_id": "file-x"}, "input_file_id", 404), ({"input_file_id": 7}, "input_file_id", 404),
        ({"input_file_id": "../../token"}, "input_file_id", 404), ({"metadata": {"a": 7}}, "metadata", 400),
    ],
)  # fmt: skip
async def test_a_batch_that_cannot_be_is_refused_by_its_field(hall, asked, param, status):
    file = await upload(hall, lines(1))
    body = {"input_file_id": file["id"], "endpoint": CHAT, **asked}
    answer = await call(hall, "POST", "/v1/batches", json.dumps(body).encode())
    assert answer.status == status
    assert json.loads(answer.body)["error"]["param"] == param


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "multipart/form-data; boundary=x"), (form(b"a"), "application/json"),
        (form(b"a"), "multipart/form-data"),
        (form(b"a"), "multipart/form-data; boundary=y"), (form(b"a")[:-6], "multipart/form-data; boundary=x"),
        (form(b""), "multipart/form-data; boundary=x"), (form(b"a", b"art"), "multipart/form-data; boundary=x"),
        (b"--x\r\n\r\na\r\n--x--\r\n", "multipart/form-data; boundary=x"),
        (form(b"a") + form(b"b"), "multipart/form-data; boundary=x"),
    ],
)  # fmt: skip
async def test_what_is_no_file_is_refused(hall, body, kind):
    answer = await call(hall, "POST", "/v1/files", body, f"content-type: {kind}")
    assert answer.status in (400, 415)
    assert json.loads(answer.body)["error"]["message"]


async def test_there_is_room_for_so_many_files(hall, monkeypatch):
    monkeypatch.setattr("modelhall.gateway.openai_files.MOST_FILES", 2)
    for _ in range(2):
        await upload(hall, b"a")
    answer = await call(
        hall, "POST", "/v1/files", form(b"a"), "content-type: multipart/form-data; boundary=x"
    )
    assert answer.status == 429


async def test_without_a_shelf_there_are_no_files(gateway_with):
    bare = gateway_with()
    await bare.start()
    assert (await bare.ask("/v1/files", b"", method="GET")).status == 404
    await bare.stop()
