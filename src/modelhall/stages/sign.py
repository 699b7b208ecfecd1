"""sign: the artifact of an accepted version → a signature, an artifact of its own.

The only stage that is handed the hall's private key, and only by descriptor. What has to be signed, and who refuses
what is not, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelhall.core import plugins, program
from modelhall.core.errors import Broken
from modelhall.core.orders import SIGNATURE_FILE, SIGNATURE_FORMAT, SignOrder, SignOutput
from modelhall.core.ports.signature import SIGNING_KEY
from modelhall.core.program import Order, Reporter, open_blobs, private_folder
from modelhall.core.secrets import read_secrets


def carry_out(order: Order, reporter: Reporter) -> Mapping[str, Any]:
    """Sign one version; the result is a SignOutput. Raises Broken when the hall's key was not handed over, Rejected
    when it is not the one that was ordered."""
    what = SignOrder.model_validate(order.what)
    handed = read_secrets()
    if SIGNING_KEY not in handed:
        raise Broken("the hall's signing key was not handed over: only runs that the hall makes can sign")
    signatures = plugins.load("signature", SIGNATURE_FORMAT)
    blobs = open_blobs(order)
    with private_folder(order) as place:
        # The name of the folder is signed as well: what was made as one version does not pass for another.
        model, signature = place / what.version, place / "signature"
        blobs.get_folder(what.artifact, model)
        signature.mkdir()
        made = signatures.sign(model, handed[SIGNING_KEY])
        signatures.check(made, model, name=what.version, public_key=what.public_key)
        (signature / SIGNATURE_FILE).write_bytes(made)
        artifact = blobs.put_folder(signature)
    return SignOutput(signature=artifact).model_dump(mode="json")


if __name__ == "__main__":
    program.main(carry_out)
