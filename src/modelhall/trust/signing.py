"""The keys that model versions are signed with: HOME/keys.

    signing.pem        the private key, readable by its owner only; only the sign stage is handed it
    signing.pub        its public key
    signing-WORD.pub   public keys of earlier ones; versions they signed count as signed as long as these are here

The first key is made when it is first asked for. Signing itself is left to `stages/sign.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from modelhall.core import digest, files
from modelhall.core.ports.signature import PublicKey
from modelhall.trust import private_file

PRIVATE, PUBLIC, PUBLIC_ONES = "signing.pem", "signing.pub", "signing*.pub"


class KeyFolder:
    """The signing keys port over a folder. Files are read anew each time: a key may be changed while the hall is
    up."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def private(self) -> str:
        """The private key in PEM; made if there is none. Raises Rejected when others could have read it."""
        path = self._folder / PRIVATE
        found = private_file.read(path)
        if found is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.sync_folder(self._folder.parent)
            found = private_file.read_or_create(path, _new_key())
        return found.decode()

    def current(self) -> PublicKey:
        pem = self._public()
        return PublicKey(digest.of_bytes(pem), pem.decode())

    def trusted(self) -> Mapping[str, str]:
        keys = [path.read_bytes() for path in sorted(self._folder.glob(PUBLIC_ONES))]
        return {digest.of_bytes(key): key.decode() for key in keys}

    def _public(self) -> bytes:
        """The public key of the private one; written beside it if it is not there."""
        path = self._folder / PUBLIC
        try:
            return path.read_bytes()
        except FileNotFoundError:
            public = _public_of(self.private())
            files.write_bytes(path, public)
            return public


def _new_key() -> bytes:
    # Here and not above, as in the next one: a hall that has its key starts without it.
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public_of(private: str) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return (
        serialization.load_pem_private_key(private.encode(), None)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
