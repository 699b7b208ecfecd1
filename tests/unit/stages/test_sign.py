"""The stage that signs: with the key it is handed, and with no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from modelhall.core.errors import Broken, Rejected
from modelhall.core.orders import SIGNATURE_FILE, SignOrder
from modelhall.core.ports.signature import SIGNING_KEY
from modelhall.core.program import Order, Reporter, open_blobs, unpacked
from modelhall.core.secrets import VARIABLE, sealed
from modelhall.stages import sign
from modelhall.trust.signing import KeyFolder

VERSION = "ab" * 32
Orders = Callable[..., Order]


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path / "keys")


@pytest.fixture
def artifact(tmp_path: Path, order: Orders) -> str:
    made = tmp_path / "made"
    made.mkdir()
    (made / "model.safetensors").write_bytes(b"weights")
    return open_blobs(order({})).put_folder(made)


def hand_over(monkeypatch: pytest.MonkeyPatch, **secrets: str) -> None:
    monkeypatch.setenv(VARIABLE, str(sealed(secrets)))


def sign_order(keys: KeyFolder, artifact: str) -> SignOrder:
    return SignOrder(artifact=artifact, version=VERSION, public_key=keys.current().pem)


def signed(order: Order) -> str:
    return str(sign.carry_out(order, Reporter(order.work))["signature"])


def test_a_signature_lies_in_the_blobs_by_itself_and_the_artifact_stays_as_it_is(
    order: Orders, keys: KeyFolder, artifact: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_over(monkeypatch, **{SIGNING_KEY: keys.private()})
    made = order(sign_order(keys, artifact))
    with unpacked(made, signed(made)) as folder:
        assert [path.name for path in folder.iterdir()] == [SIGNATURE_FILE]
        assert (folder / SIGNATURE_FILE).stat().st_size < 10_000
    with unpacked(made, artifact) as folder:
        assert [path.name for path in folder.iterdir()] == ["model.safetensors"]


def test_nothing_the_stage_leaves_behind_holds_the_key(
    order: Orders, keys: KeyFolder, artifact: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_over(monkeypatch, **{SIGNING_KEY: keys.private()})
    signed(order(sign_order(keys, artifact)))
    secret = keys.private().splitlines()[1].encode()
    others = [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "keys"]
    assert others
    assert not [path for path in others if secret in path.read_bytes()]


def test_without_the_halls_key_nothing_is_signed(
    order: Orders, keys: KeyFolder, artifact: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(Broken, match="was not handed over"):
        signed(order(sign_order(keys, artifact)))
    hand_over(monkeypatch, other="value")
    with pytest.raises(Broken, match="was not handed over"):
        signed(order(sign_order(keys, artifact)))


def test_a_key_that_is_not_the_one_ordered_signs_nothing_that_is_kept(
    order: Orders, keys: KeyFolder, artifact: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_over(monkeypatch, **{SIGNING_KEY: KeyFolder(tmp_path / "others").private()})
    with pytest.raises(Rejected, match="not with the hall's"):
        signed(order(sign_order(keys, artifact)))
