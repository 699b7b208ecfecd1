"""Signatures: have every accepted version signed with a key of the hall's, once for each key.

A version without a signature, or with one whose key is not trusted any more, is signed with the current key. What
signs is `stages/sign.py`; that nothing else is served, the services and the replicas see to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modelhall.control import work
from modelhall.control.actions import Action, Note, Update
from modelhall.control.view import View
from modelhall.control.work import Work
from modelhall.core.kinds import Key, Resources
from modelhall.core.kinds.model import ModelResource, ModelVersion, Signature
from modelhall.core.orders import SignOrder, SignOutput, key_of
from modelhall.core.ports.signature import SigningKeys


@dataclass(frozen=True, kw_only=True)
class Signing:
    """One version that is to be signed, and how far that is."""

    version: ModelVersion
    key: str
    """Id of the key to sign with."""
    order: SignOrder
    work: Work


def is_signed(version: ModelVersion, trusted: Mapping[str, str] | None) -> bool:
    """Whether a version may be served as far as its record tells; in a hall that does not sign (None), always."""
    return trusted is None or (version.signature is not None and version.signature.key in trusted)


async def next_one(resource: ModelResource, view: View, keys: SigningKeys | None) -> Signing | None:
    """The accepted version to sign next, the one the model declares first; None when there is none to sign."""
    if keys is None:
        return None
    key, trusted = keys.current(), keys.trusted()
    unsigned = [v for v in resource.status.versions if v.accepted and not is_signed(v, trusted)]
    if not unsigned:
        return None
    version = max(unsigned, key=lambda v: (v.id == resource.status.version, v.created_at))
    order = SignOrder(artifact=version.artifact, version=version.id, public_key=key.pem)
    found = await work.look_up(view, resource.key, "sign", key_of("sign", order))
    return Signing(version=version, key=key.id, order=order, work=found)


def start(owner: Key, signing: Signing) -> list[Action]:
    """Have it signed, unless that is on its way."""
    return work.start(owner, signing.work, signing.order, Resources())


def adopt(resource: ModelResource, signing: Signing) -> list[Action]:
    """Enter the signature that was made."""
    assert signing.work.result is not None
    made = SignOutput.model_validate(signing.work.result.output)
    signature = Signature(artifact=made.signature, key=signing.key)
    versions = tuple(
        version.model_copy(update={"signature": signature}) if version.id == signing.version.id else version
        for version in resource.status.versions
    )
    message = f"version {signing.version.id[:8]} is signed with the key {signing.key[:8]}"
    return [
        Update(resource=resource.with_status(versions=versions)),
        Note(key=resource.key, name="model.signed", message=message),
    ]
