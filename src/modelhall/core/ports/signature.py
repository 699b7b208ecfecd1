"""Proof that a folder holds what the hall made, and who keeps the keys of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

SIGNING_KEY = "signing-key"
"""The secret of the hall's own that its sign stage is handed: the private key in PEM."""


class Signatures(Protocol):
    """One format of signatures; a file in adapters/signature. Keys are elliptic-curve keys in PEM."""

    def sign(self, folder: Path, private_key: str) -> bytes:
        """A signature which says that `folder`, by its name, holds these files and no others."""
        ...

    def check(self, signature: bytes, folder: Path, *, name: str, public_key: str) -> None:
        """Raise Rejected unless the owner of the key has signed that `name` is exactly what is in `folder`."""
        ...


class PublicKey(NamedTuple):
    """One key, as anybody may know it."""

    id: str
    """The SHA-256 of `pem`."""
    pem: str


class SigningKeys(Protocol):
    """The hall's keys. Both methods raise Rejected for a key that others could have read."""

    def current(self) -> PublicKey:
        """The key that signs, which is made if there is none."""
        ...

    def trusted(self) -> Mapping[str, str]:
        """The public keys in PEM whose signatures count, by id: the current one, once it is made, and earlier ones
        that were kept."""
        ...
