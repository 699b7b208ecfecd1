"""`hall verify` names the versions that are not what the hall has signed, and has lost signatures made again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from small_home import AT, SmallHome, new, small_home

from modelhall.adapters.signature import model_signing
from modelhall.adapters.store import open_store
from modelhall.app.keep.verify import Verified, verify
from modelhall.app.keys import Keys
from modelhall.core.kinds import AnyResource, Key
from modelhall.core.kinds.model import ModelVersion, Signature
from modelhall.core.kinds.result import Result, result_name
from modelhall.core.orders import SIGNATURE_FILE
from modelhall.core.ports.blobs import Blobs
from modelhall.core.ports.store import Put
from modelhall.trust.signing import KeyFolder

MODEL, VERSION = Key("model", "default", "m"), "0de1" * 16


class Signed:
    """A small home whose model is signed as `name` and recorded with `key`."""

    def __init__(self, folder: Path) -> None:
        self.small: SmallHome = asyncio.run(small_home(folder))
        self.keys = KeyFolder(self.small.home / "keys")
        self.blobs: Blobs = Keys(self.small.settings, lambda: AT).blobs("default")
        self._folder = folder

    def sign(self, name: str = VERSION, keys: KeyFolder | None = None) -> str:
        """The artifact of a signature over the model's files, as those of version `name`."""
        model, signature = self._folder / name, self._folder / "signature"
        self.blobs.get_folder(self.small.model, model)
        signature.mkdir()
        (signature / SIGNATURE_FILE).write_bytes(model_signing.sign(model, (keys or self.keys).private()))
        return self.blobs.put_folder(signature)

    def record(self, signature: str, key: str | None = None) -> None:
        """Have the model's version say that this is its signature, and a result that it was made."""
        made = Signature(artifact=signature, key=key or self.keys.current().id)
        self.change(lambda version: version.model_copy(update={"signature": made}))
        output = {"signature": signature}
        self.put(new(Result(name=result_name("51" * 32), run="sign", output=output), "sign-uid"))

    def change(self, how: Callable[[ModelVersion], ModelVersion]) -> None:
        """Change the model's version in the store."""
        model = self.model()
        versions = tuple(how(version) for version in model.status.versions)
        self.put(model.with_status(versions=versions))

    def put(self, resource: AnyResource) -> None:
        async def commit() -> None:
            store = open_store(self.small.settings.store_url)
            await store.commit([Put(resource=resource)])
            await store.close()

        asyncio.run(commit())

    def model(self) -> AnyResource:
        async def get() -> AnyResource | None:
            store = open_store(self.small.settings.store_url)
            found = await store.get(MODEL)
            await store.close()
            return found

        found = asyncio.run(get())
        assert found is not None
        return found

    def verified(self) -> Verified:
        return asyncio.run(verify(self.small.settings, now=AT))


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    return Signed(tmp_path)


def test_a_version_as_it_was_signed_is_well(signed: Signed) -> None:
    signed.record(signed.sign())
    assert signed.verified().is_well


def test_whole_files_that_are_not_those_that_were_signed_are_named(signed: Signed) -> None:
    signed.record(signed.sign())
    signed.change(lambda version: version.model_copy(update={"artifact": signed.small.data}))
    found = signed.verified()
    assert not found.is_well
    (said,) = found.signatures
    assert said.startswith("model m@0de10de1 is not what was signed: content was changed")


def test_the_signature_of_another_version_is_named(signed: Signed) -> None:
    signed.record(signed.sign(name="f" * 64))
    (said,) = signed.verified().signatures
    assert "the signature is for 'ffff" in said


def test_a_signature_that_is_said_to_be_the_halls_and_is_not_is_named(signed: Signed, tmp_path: Path) -> None:
    signed.record(signed.sign(keys=KeyFolder(tmp_path / "others")), key=signed.keys.current().id)
    (said,) = signed.verified().signatures
    assert "not with the hall's" in said


def test_a_signature_by_a_key_of_another_hall_is_left_to_be_made_anew(signed: Signed, tmp_path: Path) -> None:
    """As after a restore: the keys of the hall that was backed up are not in the backup."""
    others = KeyFolder(tmp_path / "others")
    signed.record(signed.sign(keys=others), key=others.current().id)
    assert signed.verified().is_well


def test_a_damaged_signature_is_put_aside_and_made_again(signed: Signed) -> None:
    signature = signed.sign()
    signed.record(signature)
    signed.small.damage(signature)
    found = signed.verified()
    (damage,) = found.damage
    assert damage.needed_by == ("the signature of model m@0de10de1",)
    assert (damage.mended, damage.outcome) == (True, "is signed again")
    assert found.signatures == ()
    assert signed.model().status.versions[0].signature is None
    assert signed.verified().is_well
