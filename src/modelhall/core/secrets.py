"""How secrets and keys reach a program: by an open file that is nowhere in the file system, in no argument and no
environment.

    from modelhall.core.secrets import read_secrets
    key = read_secrets()["openai-key"]

A program in another language reads the descriptor whose number is in MODELHALL_SECRETS_FD: JSON, name to value.
Where secrets are kept is left to `core.ports.secrets`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from modelhall.core.sealing import KeySet

VARIABLE = "MODELHALL_SECRETS_FD"
KEYS_VARIABLE = "MODELHALL_KEYS_FD"
"""Where a stage finds the keys of its project. A user's own program is never handed any."""


def sealed(values: Mapping[str, Any]) -> int:
    """A descriptor of a file in memory that holds `values` and can no longer be changed; the caller closes it."""
    descriptor = os.memfd_create("modelhall-secrets", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(json.dumps(dict(values)).encode())
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except BaseException:  # whatever ends it, what is in memory goes with its descriptor
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def handed_keys(keys: KeySet | None) -> Iterator[dict[str, int]]:
    """The variable that tells a program of its project's keys, and the descriptor whose number it is to hold, open
    until this is left; nothing when there are no keys."""
    if keys is None:
        yield {}
        return
    as_text = {id: key.hex() for id, key in keys.keys.items()}
    descriptor = sealed({"of": keys.of, "newest": keys.newest, "keys": as_text})
    try:
        yield {KEYS_VARIABLE: descriptor}
    finally:
        os.close(descriptor)


def read_secrets(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The secrets this program was handed, by name; none when it was handed none. May be asked again."""
    values: dict[str, str] = _read(environment.get(VARIABLE)) or {}
    return values


def read_keys(environment: Mapping[str, str] = os.environ) -> KeySet | None:
    """The keys of its project, when this program was handed them. May be asked again."""
    found = _read(environment.get(KEYS_VARIABLE))
    if found is None:
        return None
    keys = {id: bytes.fromhex(key) for id, key in found["keys"].items()}
    return KeySet(of=found["of"], newest=found["newest"], keys=keys)


def _read(number: str | None) -> Any:
    if number is None:
        return None
    size = os.fstat(int(number)).st_size
    # From the start, wherever somebody who shares the descriptor has read to.
    return json.loads(os.pread(int(number), size, 0))
