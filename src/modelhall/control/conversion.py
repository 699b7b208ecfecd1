"""Conversion: have a version brought, once, into the form that an engine reads, and what comes of it signed.

Which engines want that, their files say. What replicas then load is an artifact as any other, found by what it was
made of: the version's artifact, the engine, and the libraries that shape it. Services that serve the same version by
the same engine share it.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelhall.control import work
from modelhall.control.actions import Action
from modelhall.control.view import View
from modelhall.control.work import Work
from modelhall.core import plugins
from modelhall.core.kinds import Key, Problem, Resources
from modelhall.core.kinds.model import ModelVersion
from modelhall.core.libraries import installed
from modelhall.core.orders import ConvertOrder, ConvertOutput, SignOrder, SignOutput, key_of
from modelhall.core.ports.signature import SigningKeys


@dataclass(frozen=True, kw_only=True)
class Converted:
    """What replicas load in place of the version's own files."""

    artifact: str
    run: str
    """That made it."""
    public_key: str | None = None
    """In PEM: whose signature it has; None in a hall that does not sign."""
    signature: str | None = None
    """Its artifact."""


@dataclass(frozen=True, kw_only=True)
class Converting:
    """How far the conversion of one version for one engine is."""

    order: ConvertOrder
    convert: Work
    signing: SignOrder | None = None
    """None until there is something to sign, and in a hall that does not."""
    sign: Work | None = None

    @property
    def works(self) -> list[Work]:
        return [self.convert, *([self.sign] if self.sign else [])]

    @property
    def made(self) -> Converted | None:
        """What came of it; None while it is on its way."""
        result = self.convert.result
        if result is None or (self.sign is not None and self.sign.result is None):
            return None
        artifact = ConvertOutput.model_validate(result.output).artifact
        if self.signing is None or self.sign is None or self.sign.result is None:
            return Converted(artifact=artifact, run=result.run)
        signature = SignOutput.model_validate(self.sign.result.output).signature
        return Converted(
            artifact=artifact, run=result.run, public_key=self.signing.public_key, signature=signature
        )

    def progress(self) -> tuple[str, Problem | None]:
        """What it waits for, in words, and its problem if it failed."""
        said, problem = work.progress(self.works[-1])
        return f"version {self.order.version[:8]} is converted for {self.order.engine}: {said}", problem


async def observe(
    owner: Key, engine: str, version: ModelVersion, view: View, keys: SigningKeys | None
) -> Converting | None:
    """How far it is; None for an engine that loads versions as they are. `keys` are those to sign with, if this hall
    signs."""
    libraries = plugins.constant("engine", engine, "CONVERTED_BY", ())
    if not libraries:
        return None
    trusted = keys.trusted() if keys is not None else {}
    public_key = trusted.get(version.signature.key) if version.signature is not None else None
    order = ConvertOrder(
        version=version.id, model=version.artifact, task=version.task, engine=engine,
        libraries=installed(libraries), public_key=public_key,
        signature=version.signature.artifact if version.signature is not None and public_key else None,
    )  # fmt: skip
    convert = await work.look_up(view, owner, "convert", key_of("convert", order))
    if convert.result is None or keys is None:
        return Converting(order=order, convert=convert)
    artifact = ConvertOutput.model_validate(convert.result.output).artifact
    signing, sign = await _signing(owner, version.id, artifact, view, keys)
    return Converting(order=order, convert=convert, signing=signing, sign=sign)


def start(owner: Key, converting: Converting, resources: Resources) -> list[Action]:
    """Have the next of it done, unless that is on its way."""
    if converting.signing is not None and converting.sign is not None:
        return work.start(owner, converting.sign, converting.signing, Resources())
    # Nothing is computed by the network, whatever answers by it later.
    asked = resources.model_copy(update={"gpus": 0.0, "gpu_type": ""})
    return work.start(owner, converting.convert, converting.order, asked)


async def _signing(
    owner: Key, version: str, artifact: str, view: View, keys: SigningKeys
) -> tuple[SignOrder, Work]:
    """The signing that was done with a key that is trusted still, else the one to do with the current key."""
    current = keys.current()
    wanted = None
    for public_key in dict.fromkeys((current.pem, *keys.trusted().values())):
        order = SignOrder(artifact=artifact, version=version, public_key=public_key)
        found = await work.look_up(view, owner, "sign", key_of("sign", order))
        if found.result is not None:
            return order, found
        wanted = wanted or (order, found)
    assert wanted is not None
    return wanted
