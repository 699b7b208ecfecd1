"""CVE-2024-24590: ClearML unpickled an artifact when it was fetched. Here what an artifact holds is files, checked
against their digests; only a loader reads them, and no loader unpickles. A signature is no pickle either."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import payloads
import pytest
from watching import Unharmed

from modelhall.adapters.blobs import open_blobs
from modelhall.adapters.signature import model_signing
from modelhall.core.errors import Rejected
from modelhall.trust.signing import KeyFolder


@pytest.mark.parametrize("wrap", payloads.WRAPPINGS)
def test_fetching_an_artifact_hands_over_its_files_and_opens_none(
    wrap: Callable[[object], bytes], tmp_path: Path, canary: Path, unharmed: Unharmed
) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (made / "artifact.pkl").write_bytes(wrap(payloads.calls(canary)[0]))
    blobs = open_blobs(f"folder://{tmp_path}/blobs")
    with unharmed():
        blobs.get_folder(blobs.put_folder(made), tmp_path / "fetched")
    assert (tmp_path / "fetched" / "artifact.pkl").read_bytes() == (made / "artifact.pkl").read_bytes()


@pytest.mark.parametrize("wrap", payloads.WRAPPINGS)
def test_a_signature_that_is_a_pickle_is_refused(
    wrap: Callable[[object], bytes], tmp_path: Path, canary: Path, unharmed: Unharmed
) -> None:
    keys = KeyFolder(tmp_path / "keys")
    key, signature = keys.current(), wrap(payloads.calls(canary)[3])
    with unharmed(), pytest.raises(Rejected):
        model_signing.check(signature, tmp_path, name="v", public_key=key.pem)
