"""Is each model version still what the hall has signed?

That its files are whole, `verify.py` has found out; a signature also tells files that are whole and are others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from modelhall.app.keep.known import Known
from modelhall.core import plugins, unpacking
from modelhall.core.errors import Broken, HallError, NotFound
from modelhall.core.kinds.model import ModelVersion, Signature
from modelhall.core.orders import SIGNATURE_FILE, SIGNATURE_FORMAT
from modelhall.core.ports.blobs import Blobs
from modelhall.trust.signing import KeyFolder


def problems(known: Known, blobs: Mapping[str, Blobs], home: Path) -> Iterator[str]:
    """A sentence for each signed version whose signature does not hold; `blobs` are those of each project."""
    trusted = KeyFolder(home / "keys").trusted()
    for model in known.of_kind("model"):
        project = model.key.project
        for version in model.status.versions:
            # One whose key is not trusted counts as not signed, and the hall signs it anew.
            if version.signature is None or version.signature.key not in trusted:
                continue
            shelf, cache = blobs.get(project, blobs[""]), home / "cache" / project
            problem = _problem(shelf, version, version.signature, trusted[version.signature.key], cache)
            if problem:
                yield f"{model.key}@{version.id[:8]} is not what was signed: {problem}"


def _problem(blobs: Blobs, version: ModelVersion, signature: Signature, public_key: str, cache: Path) -> str:
    try:
        with unpacking.private_folder(cache) as place:
            model, signed = place / version.id, place / "signature"
            blobs.get_folder(version.artifact, model)
            blobs.get_folder(signature.artifact, signed)
            plugins.load("signature", SIGNATURE_FORMAT).check(
                (signed / SIGNATURE_FILE).read_bytes(), model, name=version.id, public_key=public_key
            )
    except (Broken, NotFound):
        return ""  # damaged, and told of as that
    except (HallError, OSError) as error:
        return str(error)
    return ""
