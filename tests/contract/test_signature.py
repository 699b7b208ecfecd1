"""What every format of signatures promises: what was signed passes, and nothing else does."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from modelhall.core import plugins
from modelhall.core.errors import Rejected
from modelhall.core.ports.signature import Signatures
from modelhall.trust.signing import KeyFolder

NAME = "ab" * 32


@pytest.fixture(params=plugins.names("signature"))
def signatures(request: pytest.FixtureRequest) -> Signatures:
    return plugins.load("signature", request.param)  # type: ignore[return-value]


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path / "keys")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / NAME
    (folder / "deep").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 40)
    (folder / "network.json").write_text("{}")
    (folder / "deep" / "模型").write_text("more")
    # The library would leave this one out of itself.
    (folder / ".gitattributes").write_text("x")
    return folder


def public(keys: KeyFolder) -> str:
    return keys.current().pem


def test_a_folder_passes_as_it_was_signed(signatures: Signatures, keys: KeyFolder, model: Path) -> None:
    made = signatures.sign(model, keys.private())
    signatures.check(made, model, name=NAME, public_key=public(keys))
    assert keys.private() not in made.decode()


def add(folder: Path) -> None:
    (folder / "model.py").write_text("import os")


def change(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(bytes(range(255)) * 40)


def change_hidden(folder: Path) -> None:
    (folder / ".gitattributes").write_text("y")


def remove(folder: Path) -> None:
    (folder / "network.json").unlink()


def rename(folder: Path) -> None:
    (folder / "network.json").rename(folder / "config.json")


def link(folder: Path) -> None:
    (folder / "network.json").unlink()
    (folder / "network.json").symlink_to("/etc/passwd")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "waits-for-ever")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (add, "model.py was not signed"),
        (change, "model.safetensors was changed since it was signed"),
        (change_hidden, ".gitattributes was changed"),
        (remove, "network.json was signed and is not there"),
        (rename, "config.json was not signed"),
        (link, "network.json is no plain file"),
        (pipe, "waits-for-ever is no plain file"),
    ],
)
def test_a_folder_that_is_not_what_was_signed_is_refused_and_the_file_is_named(
    harm: Callable[[Path], None], said: str, signatures: Signatures, keys: KeyFolder, model: Path
) -> None:
    made = signatures.sign(model, keys.private())
    harm(model)
    with pytest.raises(Rejected, match=said):
        signatures.check(made, model, name=NAME, public_key=public(keys))


def test_what_was_signed_as_one_version_does_not_pass_for_another(
    signatures: Signatures, keys: KeyFolder, model: Path
) -> None:
    made = signatures.sign(model, keys.private())
    with pytest.raises(Rejected, match="the signature is for"):
        signatures.check(made, model, name="cd" * 32, public_key=public(keys))


def test_the_signature_of_another_hall_is_refused(
    signatures: Signatures, keys: KeyFolder, model: Path, tmp_path: Path
) -> None:
    made = signatures.sign(model, KeyFolder(tmp_path / "others").private())
    with pytest.raises(Rejected, match="not with the hall's"):
        signatures.check(made, model, name=NAME, public_key=public(keys))


@pytest.mark.parametrize("part", ["payload", "sig"])
def test_a_bit_that_was_changed_in_what_was_signed_or_in_the_signature_is_found(
    part: str, signatures: Signatures, keys: KeyFolder, model: Path
) -> None:
    made, key = signatures.sign(model, keys.private()), public(keys)
    for place in range(0, 64, 3):
        bundle = json.loads(made)
        holder = bundle["dsseEnvelope"] if part == "payload" else bundle["dsseEnvelope"]["signatures"][0]
        data = bytearray(base64.b64decode(holder[part]))
        data[place] ^= 1 << place % 8
        holder[part] = base64.b64encode(data).decode()
        with pytest.raises(Rejected, match="the signature was changed"):
            signatures.check(json.dumps(bundle).encode(), model, name=NAME, public_key=key)


@pytest.mark.parametrize(
    "junk", [b"", b"{}", b"[]", b"null", b"\x80\x04K\x01.", b'{"mediaType": 1}', b"[" * 5000]
)
def test_what_is_no_signature_is_refused_in_words(
    junk: bytes, signatures: Signatures, keys: KeyFolder, model: Path
) -> None:
    with pytest.raises(Rejected):
        signatures.check(junk, model, name=NAME, public_key=public(keys))


def test_the_library_itself_accepts_what_the_hall_signs_and_refuses_what_the_hall_refuses(
    signatures: Signatures, keys: KeyFolder, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.sig").write_bytes(signatures.sign(model, keys.private()))
    (tmp_path / "hall.pub").write_text(public(keys))
    assert by_the_library(model, tmp_path) == 0
    change(model)
    assert by_the_library(model, tmp_path) != 0


def by_the_library(model: Path, folder: Path) -> int:
    verify = [sys.executable, "-m", "model_signing", "verify", "key", str(model)]
    given = ["--signature", str(folder / "model.sig"), "--public_key", str(folder / "hall.pub")]
    done = subprocess.run([*verify, *given, "--no-ignore-git-paths"], capture_output=True, timeout=60)
    return done.returncode
