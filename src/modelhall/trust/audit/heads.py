"""Heads: a signature over the number and digest of an entry, and so over everything up to it.

A head that is kept elsewhere is what makes truncation visible, and a whole log rewritten by somebody who has the key.
Signed with Ed25519; the private key is in `audit.pem`, readable by its owner only, the public one in `audit.pub`.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import ValidationError

from modelhall.core import digest, files
from modelhall.core.errors import Broken, Rejected
from modelhall.core.kinds.base import Frozen
from modelhall.trust import private_file
from modelhall.trust.audit.entry import Signature

PRIVATE_FILE, PUBLIC_FILE = "audit.pem", "audit.pub"
PURPOSE = "modelhall audit head 1"
"""Signed along, so that no signature for another purpose can pass for one of a head."""


class Head(Frozen):
    """Says that entry `number` has `digest`, under a signature."""

    number: int
    digest: str
    at: float
    key: str
    """Id of the public key."""
    signature: str
    """In hex."""


class VerifyingKey:
    """Tells whether a head was signed by this hall."""

    def __init__(self, public: Ed25519PublicKey) -> None:
        self._public = public
        self.id = digest.of_bytes(public.public_bytes_raw())

    def problem(self, head: Head) -> str | None:
        """What is wrong with the head's signature, in words; None when nothing is."""
        if head.key != self.id:
            return f"it is signed by key {head.key[:12]}…, and this log's key is {self.id[:12]}…"
        try:
            self._public.verify(bytes.fromhex(head.signature), _message(head.number, head.digest, head.at))
        except (InvalidSignature, ValueError):
            return f"it does not bear a signature of key {self.id[:12]}…"
        return None


class SigningKey:
    """Signs heads."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = VerifyingKey(private.public_key())

    def sign(self, number: int, digest: str, at: float) -> Head:
        """A head of entry `number`."""
        signature = self._private.sign(_message(number, digest, at)).hex()
        return Head(number=number, digest=digest, at=at, key=self.public.id, signature=signature)

    def signature(self, number: int, digest: str, at: float) -> Signature:
        """The same as a part of the entry that comes next."""
        head = self.sign(number, digest, at)
        return Signature(key=head.key, signature=head.signature)


def head_from_json(text: str) -> Head:
    """A head that was kept, as it was given. Raises Rejected when it is none."""
    try:
        return Head.model_validate_json(text)
    except ValidationError as error:
        mistake = error.errors()[0]
        where = ".".join(("head", *map(str, mistake["loc"])))
        raise Rejected(f"{mistake['msg']}; give it as `hall audit head` printed it", field=where) from None


def new_key() -> SigningKey:
    """A key that nobody else has."""
    return SigningKey(Ed25519PrivateKey.generate())


def signing_key_in(folder: Path) -> SigningKey:
    """The key of the hall whose keys are in `folder`; made at its first start. Raises Broken when it is damaged."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / PRIVATE_FILE
    content = private_file.read_or_create(path, made)
    try:
        private = serialization.load_pem_private_key(content, password=None)
    except ValueError:
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        raise Broken(f"{path} holds no Ed25519 key; restore it from where you keep a copy")
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    if not (folder / PUBLIC_FILE).exists():
        files.write_bytes(folder / PUBLIC_FILE, public)
    return SigningKey(private)


def verifying_key_in(path: Path) -> VerifyingKey:
    """The public key in the file `path`. Raises Rejected when there is none."""
    try:
        public = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Rejected(f"{path} cannot be read as a public key: {error}") from None
    if not isinstance(public, Ed25519PublicKey):
        raise Rejected(f"{path} holds a public key that is not Ed25519")
    return VerifyingKey(public)


def _message(number: int, of: str, at: float) -> bytes:
    return digest.canonical({"purpose": PURPOSE, "number": number, "digest": of, "at": at})
