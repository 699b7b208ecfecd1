"""Is each model version still what the hall has signed?

That its files are whole, `verify.py` has found out; a signature also tells files that are whole and are others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from modelhall.app.keep.known import Known, converted
from modelhall.core import plugins, unpacking
from modelhall.core.errors import Broken, HallError, NotFound
from modelhall.core.kinds import Key
from modelhall.core.orders import SIGNATURE_FILE, SIGNATURE_FORMAT
from modelhall.core.ports.blobs import Blobs
from modelhall.trust.signing import KeyFolder


def problems(known: Known, blobs: Mapping[str, Blobs], home: Path) -> Iterator[str]:
    """A sentence for each signed version, and each that was converted for a service, whose signature does not hold;
    `blobs` are those of each project."""
    trusted = KeyFolder(home / "keys").trusted()
    for key, signed in _signed(known, trusted):
        shelf, cache = blobs.get(key.project, blobs[""]), home / "cache" / key.project
        if problem := _problem(shelf, signed, cache):
            yield f"{key}@{signed.version[:8]} is not what was signed: {problem}"


class _Signed(NamedTuple):
    version: str
    artifact: str
    signature: str
    """Its artifact."""
    public_key: str


def _signed(known: Known, trusted: Mapping[str, str]) -> Iterator[tuple[Key, _Signed]]:
    """All that is signed by a key that is trusted; what is not counts as not signed, and the hall signs it anew."""
    for model in known.of_kind("model"):
        for version in model.status.versions:
            if (made := version.signature) is not None and made.key in trusted:
                signed = _Signed(version.id, version.artifact, made.artifact, trusted[made.key])
                yield model.key, signed
    for service in known.of_kind("service"):
        release = converted(service)
        if release is not None and release.order["public_key"] in trusted.values():
            order = release.order
            yield (
                service.key,
                _Signed(release.version, order["artifact"], order["signature"], order["public_key"]),
            )


def _problem(blobs: Blobs, signed: _Signed, cache: Path) -> str:
    try:
        with unpacking.private_folder(cache) as place:
            files, signature = place / signed.version, place / "signature"
            blobs.get_folder(signed.artifact, files)
            blobs.get_folder(signed.signature, signature)
            plugins.load("signature", SIGNATURE_FORMAT).check(
                (signature / SIGNATURE_FILE).read_bytes(),
                files,
                name=signed.version,
                public_key=signed.public_key,
            )
    except (Broken, NotFound):
        return ""  # damaged, and told of as that
    except (HallError, OSError) as error:
        return str(error)
    return ""
