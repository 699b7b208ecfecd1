"""The first question of whoever loads a version: are these files what the hall made as this version? Nothing of them
is read before."""

from __future__ import annotations

from pathlib import Path

from modelhall.core import plugins
from modelhall.core.errors import Rejected
from modelhall.core.orders import (
    SIGNATURE_FILE,
    SIGNATURE_FORMAT,
    ConvertOrder,
    ServedAdapter,
    ServeOrder,
)  # fmt: skip
from modelhall.core.program import Order, unpacked

_WHAT_WOULD_DO = "`hall verify` says what is wrong with it; train it again, or serve another version"


def check(order: Order, what: ServeOrder | ServedAdapter | ConvertOrder, folder: Path) -> None:
    """Raise Rejected unless the files in `folder` are signed as the version they are said to be, or this hall does
    not sign."""
    if what.public_key is None:
        return
    if what.signature is None:
        raise Rejected(
            f"version {what.version[:8]} was never signed, and this hall serves only what it has signed"
        )
    with unpacked(order, what.signature) as place:
        signature = (place / SIGNATURE_FILE).read_bytes()
    signatures = plugins.load("signature", SIGNATURE_FORMAT)
    try:
        signatures.check(signature, folder, name=what.version, public_key=what.public_key)
    except Rejected as error:
        raise Rejected(f"version {what.version[:8]} is refused: {error.message}; {_WHAT_WOULD_DO}") from None
