"""Signatures as OpenSSF Model Signing has them: a sigstore bundle around an in-toto statement, with a key.

`sign` is the library's; `model_signing verify key` accepts what it makes. `check` is our own and reads only what
`sign` writes: the library takes 0.7 s to import, an HTTP client among the rest, and every replica would wait for it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from modelhall.core import digest, strict_json
from modelhall.core.errors import Broken, Rejected

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
MOST_BYTES = 16 << 20


def sign(folder: Path, private_key: str) -> bytes:
    """A signature which says that `folder`, by its name, holds these files and no others. Raises Broken when
    model-signing is not installed."""
    try:
        # Here and not above: heavy, and only the one who signs needs it.
        from model_signing import hashing, signing
    except ImportError as error:
        raise Broken(f"signing needs model-signing ({error}); install modelhall[train]") from None
    every_file = hashing.Config()  # type: ignore[no-untyped-call]
    config = signing.Config()  # type: ignore[no-untyped-call]
    config.set_hashing_config(every_file.set_ignored_paths(paths=[], ignore_git_paths=False))
    # The library reads the key and writes the signature by path; in memory, no disk ever sees the key.
    key, made = os.memfd_create("key", os.MFD_CLOEXEC), os.memfd_create("signature", os.MFD_CLOEXEC)
    try:
        os.write(key, private_key.encode())
        config.use_elliptic_key_signer(private_key=f"/proc/self/fd/{key}")
        config.sign(folder, f"/proc/self/fd/{made}")
        return os.pread(made, os.fstat(made).st_size, 0)
    finally:
        os.close(key)
        os.close(made)


def check(signature: bytes, folder: Path, *, name: str, public_key: str) -> None:
    """Raise Rejected unless the owner of the key has signed that `name` is exactly what is in `folder`."""
    try:
        statement = _signed_statement(signature, public_key)
        signed = _files_of(statement, name)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, UnsupportedAlgorithm) as error:
        raise Rejected(f"the signature is none of model-signing: {error!r}") from None
    _compare(signed, _digests(folder))


def _signed_statement(signature: bytes, public_key: str) -> Any:
    """What the owner of the key has signed; raises Rejected when he has not."""
    if len(signature) > MOST_BYTES:
        raise Rejected(f"the signature has {len(signature)} bytes; at most {MOST_BYTES} are read")
    bundle = strict_json.loads(signature)
    if bundle["mediaType"] != MEDIA_TYPE:
        raise Rejected(f"the signature is a {bundle['mediaType']!r}, not a {MEDIA_TYPE}")
    made_with, key_id = (
        bundle["verificationMaterial"]["publicKey"]["hint"],
        digest.of_bytes(public_key.encode()),
    )
    if made_with != key_id:
        raise Rejected(
            f"the signature was made with the key {made_with[:16]}, not with the hall's {key_id[:16]}"
        )
    envelope = bundle["dsseEnvelope"]
    (found,) = envelope["signatures"]
    payload = _decoded(envelope["payload"])
    if envelope["payloadType"] != PAYLOAD_TYPE:
        raise Rejected(f"the signature is over a {envelope['payloadType']!r}, not a {PAYLOAD_TYPE}")
    key = load_pem_public_key(public_key.encode())
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise Rejected("the hall's public key is no elliptic-curve key")
    try:
        key.verify(_decoded(found["sig"]), _authenticated(payload), ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise Rejected("the signature was changed, or is not by the hall's key") from None
    return strict_json.loads(payload)


def _authenticated(payload: bytes) -> bytes:
    """What is signed of a payload: DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("what is encoded in it is not base64") from None


def _files_of(statement: Any, name: str) -> dict[str, str]:
    """Path → SHA-256 of each file that a statement about `name` lists."""
    kind = (statement["_type"], statement["predicateType"])
    if kind != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise Rejected(f"the signature says something else than what files there are: {kind}")
    (subject,) = statement["subject"]
    if subject["name"] != name:
        raise Rejected(f"the signature is for {subject['name']!r}, not for {name!r}")
    how, files = statement["predicate"]["serialization"], statement["predicate"]["resources"]
    if (how["method"], how["hash_type"], how.get("ignore_paths", [])) != ("files", "sha256", []):
        raise Rejected(f"the signature counts files in a way this hall does not: {how}")
    signed = {str(file["name"]): str(file["digest"]) for file in files if file["algorithm"] == "sha256"}
    if len(signed) != len(files):
        raise ValueError("a file stands in it twice, or without a SHA-256")
    return signed


def _digests(folder: Path) -> dict[str, str]:
    """Path → SHA-256 of each file there is."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise Rejected(f"{path.relative_to(folder)} is no plain file, and none was signed")
        if path.is_file():
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _compare(signed: dict[str, str], there: dict[str, str]) -> None:
    for path in sorted(signed.keys() | there.keys()):
        if path not in there:
            raise Rejected(f"{path} was signed and is not there")
        if path not in signed:
            raise Rejected(f"{path} was not signed")
        if there[path] != signed[path]:
            raise Rejected(f"{path} was changed since it was signed: its digest is {there[path]}")
