"""Keys are looked at and changed over HTTP, and never told."""

from __future__ import annotations

from pathlib import Path

import httpx
from a_hall import ask

from modelhall.app.hall import Hall

PATH = "/api/v1/keys"


def test_keys_are_shown_rotated_and_deleted_by_project(tmp_path: Path) -> None:
    async def play(api: httpx.AsyncClient, hall: Hall) -> None:
        assert (await api.get(PATH)).json()["keys"] == []
        await api.put("/api/v1/secrets/default/word", content=b"sesame")
        (first,) = (await api.get(PATH)).json()["keys"]
        assert (first["project"], first["newest"]) == ("default", True)
        done = (await api.post(f"{PATH}/projects/default/rotate")).json()
        assert (done["rewrapped"], done["forgotten"]) == (1, 1)
        (second,) = (await api.get(PATH)).json()["keys"]
        assert second["id"] == done["id"] != first["id"]
        assert hall.secrets.get("default", "word") == b"sesame"
        root = (await api.post(f"{PATH}/root/rotate")).json()["id"]
        assert (await api.get(PATH)).json()["root"] == root
        assert (await api.delete(f"{PATH}/projects/default")).json() == {"keys": 1}
        assert (await api.get(PATH)).json() == {"root": root, "keys": []}

    ask(tmp_path, play)


def test_no_answer_has_a_key_in_it(tmp_path: Path) -> None:
    async def play(api: httpx.AsyncClient, hall: Hall) -> None:
        held = hall.keys.ring.keys_of("default")
        assert held is not None
        said = [await api.get(PATH), await api.post(f"{PATH}/projects/default/rotate")]
        private = [key.hex() for key in held.keys.values()]
        private.append((hall.settings.home / "keys/root.key").read_text().strip())
        said.append(await api.post(f"{PATH}/root/rotate"))
        private.append((hall.settings.home / "keys/root.key").read_text().strip())
        assert [answer.status_code for answer in said] == [200] * 3
        assert not [word for word in private for answer in said if word in answer.text]

    ask(tmp_path, play)


def test_what_cannot_be_done_with_keys_is_told(tmp_path: Path) -> None:
    async def play(api: httpx.AsyncClient, hall: Hall) -> None:
        for answer in (
            await api.post(f"{PATH}/projects/nobody/rotate"),
            await api.delete(f"{PATH}/projects/nobody"),
            await api.delete(f"{PATH}/projects/No%20Name"),
        ):
            assert answer.status_code in (400, 404), answer.text
        with hall.keys.ring.standing():
            answer = await api.post(f"{PATH}/root/rotate")
        assert answer.status_code == 503
        assert "backup" in answer.json()["error"]["message"]
        assert int(answer.headers["retry-after"]) > 0

    ask(tmp_path, play)
